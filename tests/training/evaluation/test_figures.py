import json
from collections.abc import Sequence

import pytest

from radiology.finding import Presence
from training.evaluation.figures import HEADLINE, counted, figures, headline, rounded, subgroups
from training.evaluation.measured import FindingScore, Measured, StructureScore
from training.evaluation.overlap import SurfaceDistance


def opacity(
    there: bool, stated: Presence | None, probability: float, hits: Sequence[bool] = (), shown: Sequence[bool] = ()
) -> FindingScore:
    sides = ((stated is Presence.PRESENT, there), (False, False))
    return FindingScore(there, stated, probability, sides, tuple(hits), tuple(shown), 0.5 if there else None)


def image(
    name: str, finding: FindingScore | None, dice: float | None = None, normal: bool = False, sides: Sequence[bool] = (), view: str = "PA"
) -> Measured:
    return Measured(
        name=name,
        patient=name[0],
        groups={"view": view},
        normal=normal,
        readable=True,
        structures={} if dice is None else {"left_lung": StructureScore(dice, dice, SurfaceDistance(0.01, 0.02) if dice else None)},
        findings={} if finding is None else {"opacity": finding},
        abnormal=("consolidation",) if finding is not None and finding.positive else (),
        sides_agree=tuple(sides),
        flagged=tuple(not agrees for agrees in sides),
    )


PRESENT, ABSENT = Presence.PRESENT, Presence.ABSENT
IMAGES = [
    image("a1", opacity(True, PRESENT, 0.95, hits=[True, False], shown=[True]), dice=0.9, sides=[True, False]),
    image("a2", opacity(True, ABSENT, 0.15, hits=[False]), dice=0.7),
    image("b1", opacity(False, Presence.UNDETERMINED, 0.55, shown=[False]), dice=0.0, normal=True, view="AP"),
    image("c1", opacity(False, None, 0.0), normal=True, view="AP"),
    image("d1", None, dice=0.8),
]


def test_the_headline_figures_of_five_known_images() -> None:
    values, counts = headline(IMAGES), counted(IMAGES)
    assert tuple(values) == HEADLINE
    assert (values["structures.left_lung.dice"], counts["structures.left_lung.dice"]) == (pytest.approx(0.6), 4)
    assert (values["structures.right_lung.dice"], counts["structures.right_lung.dice"]) == (None, 0)
    # One found, one missed, one false (stated as possible): 2 / (2 + 1 + 1).
    assert (values["findings.opacity.f1"], counts["findings.opacity.f1"]) == (0.5, 4)
    assert (values["findings.opacity.p_at_50"], counts["findings.opacity.p_at_50"]) == (pytest.approx(1 / 3), 3)
    assert (values["normals_with_false_finding"], counts["normals_with_false_finding"]) == (0.5, 2)
    assert (values["side_agreement"], counts["side_agreement"]) == (0.5, 2)
    # 0.95 true, 0.15 true, 0.55 false, 0 false: off by 0.05, 0.85, 0.55 and 0.
    assert (values["ece"], counts["ece"]) == (pytest.approx((0.05 + 0.85 + 0.55) / 4), 4)


def test_the_json_has_every_headline_figure_at_its_place_as_a_number() -> None:
    result = json.loads(json.dumps(rounded(figures(IMAGES, times=20))))
    assert result["structures"]["left_lung"]["dice"] == 0.6
    assert result["structures"]["left_lung"]["n"] == 4
    assert result["structures"]["left_lung"]["not_drawn"] == 1
    assert result["structures"]["left_lung"]["surface_distance"] == 0.01
    assert (result["findings"]["opacity"]["f1"], result["findings"]["opacity"]["n"]) == (0.5, 4)
    assert (result["findings"]["opacity"]["p_at_50"], result["findings"]["opacity"]["n_boxes"]) == (0.3333, 3)
    assert (result["findings"]["opacity"]["p_at_50_shown"], result["findings"]["opacity"]["n_boxes_shown"]) == (0.5, 2)
    assert (result["normals_with_false_finding"], result["normals_with_false_finding_n"]) == (0.5, 2)
    assert (result["side_agreement"], result["side_agreement_unflagged"]) == (0.5, 1.0)
    assert result["n"]["ece"] == result["ece_n"] == 4
    assert set(result["intervals"]) == set(HEADLINE)
    low, high = result["intervals"]["structures.left_lung.dice"]
    assert low <= 0.6 <= high
    assert result["false_findings_on_normals"] == {"consolidation": 1}


def test_a_finding_counts_as_stated_where_it_is_possible_and_the_table_tells_the_two_apart() -> None:
    found = figures(IMAGES, times=0)["findings"]["opacity"]
    assert found["presence"]["absent"] == {"present": 0, "absent": 0, "undetermined": 1, "not mentioned": 1}
    assert found["presence"]["present"] == {"present": 1, "absent": 1, "undetermined": 0, "not mentioned": 0}
    assert (found["by_side"]["precision"], found["by_side"]["recall"]) == (1.0, 0.5)


def test_nothing_to_measure_gives_no_figure_rather_than_a_zero() -> None:
    result = figures([], times=5)
    assert result["structures"]["left_lung"] | {"n": 0, "not_drawn": 0, "dice": None} == result["structures"]["left_lung"]
    assert (result["ece"], result["normals_with_false_finding"], result["findings"]) == (None, None, {})


def test_groups_are_measured_by_themselves() -> None:
    groups = subgroups(IMAGES, times=5)
    assert list(groups) == ["view: AP", "view: PA"]
    assert groups["view: PA"]["figures"]["structures.left_lung.dice"] == pytest.approx(0.8)
    assert groups["view: AP"]["n"]["normals_with_false_finding"] == 2
