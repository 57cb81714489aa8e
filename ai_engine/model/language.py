"""Text and tokens. Text from outside can never become one of the model's special tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from radiology.errors import EngineError

SEG = "[SEG]"
END = "<|im_end|>"
STRUCTURE_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
"""Qwen2.5-VL's tokens that build a prompt; an answer never holds one."""
ANSWER_TOKENS = (END, SEG, "<think>", "</think>", "<answer>", "</answer>")
SPECIAL_TOKENS = STRUCTURE_TOKENS + ANSWER_TOKENS

# Qwen's pattern, but a number of up to three digits is one piece with the space before it, so that a coordinate is one token.
_PIECES = r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""


class Language:
    """A byte-level BPE tokenizer with the model's special tokens."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        vocabulary = tokenizer.get_vocab()
        # The marks of steps and answer are special in our own vocabularies, ordinary text in Qwen's.
        missing = [token for token in (*STRUCTURE_TOKENS, END, SEG) if token not in vocabulary]
        if missing:
            raise EngineError(f"The tokenizer lacks {', '.join(missing)}; take the tokenizer.json that came with the weights.")
        self._marked = tokenizer
        # The switch belongs to a tokenizer, not to a call, and calls may run at the same time: hence a second tokenizer.
        self._plain = Tokenizer.from_str(tokenizer.to_str())
        self._plain.encode_special_tokens = True
        self.special_ids = {token: int(vocabulary[token]) for token in SPECIAL_TOKENS if token in vocabulary}
        self.seg = self.special_ids[SEG]
        self.end = self.special_ids[END]
        self.image = self.special_ids["<|image_pad|>"]

    @classmethod
    def train(cls, texts: Iterable[str], vocabulary_size: int, coordinates: int = 0) -> Self:
        """Learn a vocabulary of at most ``vocabulary_size`` tokens in which every number up to ``coordinates`` is one token."""
        tokenizer = Tokenizer(models.BPE())
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary_size,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(_with_numbers(texts, coordinates), trainer)
        return cls(tokenizer)

    @classmethod
    def load(cls, path: Path, added: Sequence[str] = ()) -> Self:
        """Read a ``tokenizer.json``, and add special tokens in this order where it lacks the first of them."""
        try:
            tokenizer = Tokenizer.from_file(str(path))
            if added and tokenizer.token_to_id(added[0]) is None:
                tokenizer.add_special_tokens(list(added))
            return cls(tokenizer)
        except EngineError:
            raise
        except Exception as error:  # tokenizers raises bare Exception for every unreadable file
            raise EngineError(f"The tokenizer {path.name} cannot be read ({error}); install the weights again.") from error

    def to_json(self) -> str:
        """Return the content of ``tokenizer.json``."""
        return str(self._marked.to_str(pretty=True))

    def __len__(self) -> int:
        return int(self._marked.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        """Encode text from outside; ``[SEG]``, ``<|im_end|>`` and the like become ordinary letters."""
        return list(self._plain.encode(text, add_special_tokens=False).ids)

    def encode_marked(self, text: str) -> list[int]:
        """Encode our own templates and answers, in which special tokens are meant."""
        return list(self._marked.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``, special tokens written out."""
        return str(self._marked.decode(list(ids), skip_special_tokens=False))


def _with_numbers(texts: Iterable[str], coordinates: int) -> Iterator[str]:
    yield from texts
    # Often enough to be merged before the vocabulary is full.
    yield from (f"{number} {number}" for number in range(coordinates + 1) for _ in range(200))
