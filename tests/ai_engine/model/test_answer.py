import pytest

from ai_engine.model.answer import Mark, Part, Sentence, Step, compose, parse
from radiology.errors import UnreadableAnswer
from radiology.finding import Presence, Side

RIGHT, LEFT = (30, 12, 190, 101), (32, 118, 188, 205)
STEPS = (
    Step("lungs", (Part("right lung", RIGHT), Part("left lung", LEFT), Part("left nodule", (60, 130, 80, 150))), "nodule on the left."),
    Step("pleura", (), "no fluid."),
)
SENTENCES = ("The right lung [SEG] is clear.", "There is a nodule [SEG] in the left upper zone.", "No pleural effusion.")
TEXT = compose(STEPS, SENTENCES, "Nodule in the left lung.")


def sentences(words: str, think: str = "lungs clear.") -> tuple[Sentence, ...]:
    return parse(f"<think>\n{think}\n</think><answer>FINDINGS:\n{words}\nIMPRESSION:\nSee above.\n</answer>").sentences


def sentence(words: str, think: str = "lungs clear.") -> Sentence:
    (one,) = sentences(words, think)
    return one


def test_what_is_composed_is_read_again() -> None:
    answer = parse(TEXT)
    assert answer.steps == STEPS
    assert answer.impression == "Nodule in the left lung."
    assert answer.sentences == (
        Sentence("The right lung is clear.", "lung", Side.RIGHT, Presence.PRESENT, (Mark(Side.RIGHT, RIGHT),), RIGHT, 4),
        Sentence(
            "There is a nodule in the left upper zone.",
            "nodule",
            Side.LEFT,
            Presence.PRESENT,
            (Mark(Side.LEFT, (60, 130, 80, 150)),),
            (60, 130, 80, 150),
            5,
        ),
        Sentence("No pleural effusion.", "pleural effusion", None, Presence.ABSENT, (), None, 6),
    )


def test_the_line_of_a_sentence_is_its_line_in_the_text() -> None:
    lines = TEXT.split("\n")
    assert all("right lung [SEG]" in lines[each.line] for each in parse(TEXT).sentences[:1])
    assert lines[parse(TEXT).sentences[2].line] == "No pleural effusion."


def test_the_text_has_boxes_as_x_before_y() -> None:
    assert '{"Part":"right lung","bbox":"[12, 30, 101, 190]"}' in TEXT


@pytest.mark.parametrize(
    "spelling",
    [
        '{"Part":"right lung","bbox":"[12, 30, 101, 190]"}',
        '{"Part": "right_lung", "bbox": [12,30,101,190]}',
        "'right_lung' with bbox [12, 30, 101, 190]",
        "'right_lung' bbox [12, 30, 101, 190]",
    ],
)
def test_three_spellings_of_a_box_are_read(spelling: str) -> None:
    assert sentence("The right lung [SEG] is clear.", f"lungs {spelling} clear.").marks == (Mark(Side.RIGHT, RIGHT),)


def test_a_part_may_name_its_side_last() -> None:
    assert sentence("The right lung [SEG] is clear.", "lungs 'lung_lower_lobe_right' bbox [12, 30, 101, 190] clear.").box == RIGHT


def test_a_box_of_no_extent_is_no_box() -> None:
    assert sentence("The right lung [SEG] is clear.", 'lungs {"Part":"right lung","bbox":"[12, 30, 12, 190]"} clear.').marks[0].box is None


def test_several_marks_of_one_sentence_have_their_own_sides_and_boxes() -> None:
    think = 'lungs {"Part":"right lung","bbox":"[12, 30, 101, 190]"} {"Part":"left lung","bbox":"[118, 32, 205, 188]"} clear.'
    both = sentence("The right lung [SEG] and the left lung [SEG] are clear.", think)
    assert both.side is Side.BILATERAL
    assert both.marks == (Mark(Side.RIGHT, RIGHT), Mark(Side.LEFT, LEFT))
    assert both.text == "The right lung and the left lung are clear."


def test_alike_parts_are_given_to_marks_in_order() -> None:
    think = 'lungs {"Part":"left nodule","bbox":"[1, 2, 3, 4]"} {"Part":"left nodule","bbox":"[5, 6, 7, 8]"} nodules.'
    marks = sentence("There are nodules [SEG] [SEG] in the left lung.", think).marks
    assert [mark.box for mark in marks] == [(2, 1, 4, 3), (6, 5, 8, 7)]


@pytest.mark.parametrize(
    ("words", "name", "side", "presence"),
    [
        ("No nodule.", "nodule", None, Presence.ABSENT),
        ("No nodule in the right lung.", "nodule", Side.RIGHT, Presence.ABSENT),
        ("A left pneumothorax is not seen.", "pneumothorax", Side.LEFT, Presence.ABSENT),
        ("The lungs are free of consolidation.", "consolidation", None, Presence.ABSENT),
        ("Possible consolidation [SEG] on the right.", "consolidation", Side.RIGHT, Presence.UNDETERMINED),
        ("Bilateral pleural effusions [SEG] [SEG].", "pleural effusion", Side.BILATERAL, Presence.PRESENT),
        ("Small effusion [SEG] on the left.", "pleural effusion", Side.LEFT, Presence.PRESENT),
        ("Nodules [SEG] in the right lung.", "nodule", Side.RIGHT, Presence.PRESENT),
        ("Ground-glass opacities [SEG] in the left lung.", "ground glass opacity", Side.LEFT, Presence.PRESENT),
        ("The right lung [SEG] is clear, no nodule.", "lung", Side.RIGHT, Presence.PRESENT),
        ("The cardiac silhouette [SEG] is normal.", "heart", None, Presence.PRESENT),
        ("The mediastinum [SEG] is shifted to the left.", "mediastinum", None, Presence.PRESENT),
        ("The heart is not enlarged.", "heart", None, Presence.PRESENT),
        ("Degenerative change of the spine.", "", None, Presence.PRESENT),
        ("A massive finding.", "", None, Presence.PRESENT),
    ],
)
def test_a_sentence_is_understood(words: str, name: str, side: Side | None, presence: Presence) -> None:
    read = sentence(words)
    assert (read.name, read.side, read.presence) == (name, side, presence)
    assert len(read.marks) == words.count("[SEG]")


@pytest.mark.parametrize(
    "words",
    [
        "Possible consolidation.",
        "A pneumothorax cannot be excluded.",
        "Probable pleural effusion on the left.",
        "A nodule is suspected in the right lung.",
        "Findings are suggestive of consolidation.",
        "Pneumothorax is not entirely excluded.",
        "Borderline cardiomegaly.",
        "Pneumothorax is unlikely.",
    ],
)
def test_doubt_is_neither_yes_nor_no(words: str) -> None:
    assert sentence(words).presence is Presence.UNDETERMINED


def test_a_list_of_what_is_not_there_denies_each_name_on_its_own() -> None:
    read = sentences("No pneumothorax, pleural effusion or nodule on the left.")
    assert [(each.text, each.name, each.side, each.presence) for each in read] == [
        ("No pneumothorax on the left.", "pneumothorax", Side.LEFT, Presence.ABSENT),
        ("No pleural effusion on the left.", "pleural effusion", Side.LEFT, Presence.ABSENT),
        ("No nodule on the left.", "nodule", Side.LEFT, Presence.ABSENT),
    ]
    assert {each.line for each in read} == {3}


def test_what_a_but_sets_apart_is_not_a_list() -> None:
    assert [each.name for each in sentences("No pneumothorax but there is a pleural effusion.")] == ["pneumothorax"]


def test_marks_of_several_names_in_one_sentence_are_told_apart() -> None:
    lung, nodule = sentences("The right lung [SEG] shows a nodule [SEG].")
    assert (lung.name, lung.marks, nodule.name, nodule.marks) == ("lung", (Mark(Side.RIGHT, None),), "nodule", (Mark(Side.RIGHT, None),))
    assert lung.text == nodule.text == "The right lung shows a nodule."


@pytest.mark.parametrize("structure", ["ribs", "heart", "devices"])
def test_any_structure_in_one_word_can_be_a_step(structure: str) -> None:
    steps = (Step(structure, (Part("heart", RIGHT),), "normal."), Step("lungs", (), "clear."))
    assert parse(compose(steps, SENTENCES, "Normal.")).steps == steps


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The lungs are clear.",
        TEXT.replace("</answer>", ""),
        TEXT.replace("</think>", ""),
        TEXT.replace("IMPRESSION:", ""),
        TEXT.replace("FINDINGS:", ""),
        TEXT.replace("Nodule in the left lung.", ""),
        TEXT.replace("Nodule in the left lung.", "Nodule [SEG]."),
        TEXT.replace("clear.", "clear [SEG].", 1).replace("no fluid.", "no fluid [SEG]."),
        TEXT.replace("[12, 30, 101, 190]", "[12, 30, 101]"),
        TEXT.replace("[12, 30, 101, 190]", "[12, 30, 101, -1]"),
        TEXT.replace('190]"}', '190]"'),
        TEXT.replace("The right lung", '{"Part":"right lung"} The right lung'),
        TEXT.replace("The right lung", "<think> The right lung"),
        TEXT + TEXT,
        "<think>\n</think><answer>FINDINGS:\n\nIMPRESSION:\nNormal.\n</answer>",
    ],
)
def test_anything_else_is_unreadable_and_kept(text: str) -> None:
    with pytest.raises(UnreadableAnswer) as refused:
        parse(text)
    assert refused.value.raw_text == text
    assert "radiologist" in str(refused.value)


def test_an_answer_that_could_not_be_read_is_not_composed() -> None:
    with pytest.raises(UnreadableAnswer):
        compose(STEPS, ["The lung <think> is clear."], "Normal.")
    with pytest.raises(ValueError, match="one word"):
        compose([Step("both lungs", (), "clear.")], SENTENCES, "Normal.")
