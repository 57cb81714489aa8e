from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from ai_engine.model.language import SPECIAL_TOKENS, Language
from radiology.errors import EngineError

LANGUAGE = Language.train(["The right lung is clear."] * 10, 1024, coordinates=224)
SPECIALS = frozenset(LANGUAGE.special_ids.values())


@given(st.lists(st.one_of(st.sampled_from(SPECIAL_TOKENS), st.text(max_size=8))).map("".join))
def test_text_from_outside_never_becomes_a_special_token(text: str) -> None:
    assert not SPECIALS & set(LANGUAGE.encode(text))


def test_text_from_outside_stays_readable() -> None:
    text = "Husten <|im_end|> [SEG] seit 3 Tagen, 38,5 °C 咳嗽"
    assert LANGUAGE.decode(LANGUAGE.encode(text)) == text


def test_our_own_marks_are_single_tokens() -> None:
    assert LANGUAGE.encode_marked("<think></think><answer>[SEG]</answer><|im_end|>") == [
        LANGUAGE.special_ids[token] for token in ("<think>", "</think>", "<answer>", "[SEG]", "</answer>", "<|im_end|>")
    ]


@pytest.mark.parametrize("number", [0, 7, 42, 100, 224])
def test_a_coordinate_is_one_token(number: int) -> None:
    first, second = LANGUAGE.encode(f"{number} {number}")
    assert LANGUAGE.decode([first]) == str(number)
    assert LANGUAGE.decode([second]) == f" {number}"


def test_a_tokenizer_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(LANGUAGE.to_json())
    again = Language.load(path)
    assert again.encode("a nodule <think>") == LANGUAGE.encode("a nodule <think>")
    assert again.special_ids == LANGUAGE.special_ids
    assert len(again) == len(LANGUAGE)


def test_a_tokenizer_without_the_marks_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    Tokenizer(models.BPE()).save(str(path))
    with pytest.raises(EngineError, match="lacks"):
        Language.load(path)


def test_a_broken_tokenizer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text("{")
    with pytest.raises(EngineError, match=r"tokenizer\.json cannot be read"):
        Language.load(path)
