import math

import pytest

from training.evaluation.words import cider, rouge_l


def test_rouge_l_is_the_f1_of_the_longest_common_subsequence() -> None:
    # "no pleural effusion" is common to both, three of five words each.
    assert rouge_l("No pleural effusion is seen.", "There is no pleural effusion.") == pytest.approx(0.6)
    # "the lung is clear": four of five and of four words.
    assert rouge_l("The right lung is clear.", "the lung is clear") == pytest.approx(2 * 4 / 9)
    assert rouge_l("same words", "same words") == 1
    assert rouge_l("", "words") == rouge_l("other", "words") == 0


def test_cider_of_identical_texts_is_ten_where_they_are_long_enough_for_every_phrase() -> None:
    texts = ["the right lung is clear", "there is a small effusion"]
    assert cider(texts, texts) == pytest.approx(10)
    assert cider(["a b", "c d"], ["a b", "c d"]) == pytest.approx(5), "of two words there are no phrases of three and four"


def test_cider_clips_repeated_words() -> None:
    # "a" weighs ln 2 (in one of two references). Text "a a" has 2 ln 2 of it, of which ln 2 counts: 1 / (2 sqrt 2) for single words.
    single = 1 / (2 * math.sqrt(2))
    assert cider(["a a", "c d"], ["a b", "c d"]) == pytest.approx(10 * (single / 4 + 2 / 4) / 2)


def test_cider_gives_nothing_for_words_that_every_reference_has_and_less_for_another_length() -> None:
    assert cider(["the", "the"], ["the lung", "the heart"]) == 0
    # Three words more: exp(-9 / 72) of what the words give; single words 2 of lengths sqrt 5 and sqrt 2, pairs 1 of 2 and 1.
    given = (2 / math.sqrt(10) + 1 / 2) / 4
    assert cider(["a b e f g", ""], ["a b", "c d"]) == pytest.approx(10 * given * math.exp(-9 / 72) / 2)


def test_no_text_scores_nothing() -> None:
    assert cider([], []) == 0
