"""The assistant: one image in, sentences with the places they are about out. Knows no study, no DICOM and no volume."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import exp
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from ai_engine.model.answer import Answer, Mark, Part, Sentence, Step, parse
from ai_engine.model.config import ModelConfig
from ai_engine.model.images import Box, Kind, Letterbox, mllm_input, segmenter_input, windowed
from ai_engine.model.language import Language
from ai_engine.model.memory import Track
from ai_engine.model.prompt import QUERIES, prompt_ids
from ai_engine.model.unified import Generated, UnifiedModel
from ai_engine.model.weights import load_weights
from radiology.errors import EngineError, OutOfMemory, UnreadableAnswer
from radiology.finding import Presence, Side

_NOWHERE = -1024.0
"""Logit of every cell where an object is not on the slice (SAM 2)."""


@dataclass(frozen=True, eq=False)
class Mask:
    """One decoded mask.

    Attributes:
        pixels: bool (row, column) at the size of the source; may be empty.
        score: mean probability of its pixels times the IoU that the segmenter expects, 0 to 1; not calibrated.
    """

    pixels: NDArray[np.bool_]
    score: float


@dataclass(frozen=True, eq=False)
class Place:
    """Where a sentence points: one ``[SEG]`` with its mask, or a box alone.

    Attributes:
        side: the patient's side of this place, where the words say it.
        box: the box of the model's reasoning in source pixels, None where it gave none.
        mask: what the segmenter drew, None where the sentence has no ``[SEG]``.
        seg_state: the state of that ``[SEG]``, for :meth:`Assistant.follow`.
    """

    side: Side | None
    box: Box | None
    mask: Mask | None = None
    seg_state: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class ReadSentence:
    """One sentence of a reading.

    Attributes:
        text: the words.
        name: a name of :data:`radiology.terms.TERMS`, or empty.
        side: the patient's side, where the name has one.
        presence: what the sentence states about the name.
        confidence: geometric mean of the probabilities of the sentence's tokens, 0 to 1; not calibrated.
        places: what it points at; none where something is absent.
    """

    text: str
    name: str
    side: Side | None
    presence: Presence
    confidence: float
    places: tuple[Place, ...]


@dataclass(frozen=True, eq=False)
class Reading:
    """What the model says about one image; boxes of ``steps`` are in source pixels."""

    steps: tuple[Step, ...]
    sentences: tuple[ReadSentence, ...]
    impression: str
    raw_text: str


class Assistant:
    """A loaded model that reads images."""

    def __init__(self, model: UnifiedModel, language: Language, maximum_new_tokens: int = 512, weights_hash: str = "") -> None:
        self.model = model
        self.language = language
        self.maximum_new_tokens = maximum_new_tokens
        self.weights_hash = weights_hash

    @classmethod
    def load(cls, folder: Path, device: str = "cpu", threads: int = 2, maximum_new_tokens: int = 512) -> Self:
        """Load a weights folder. ``threads`` holds for the whole process. Raises ``EngineError``."""
        torch.set_num_threads(threads)
        model, language, weights_hash = load_weights(folder)
        try:
            model.to(device)
        except (RuntimeError, AssertionError) as error:  # AssertionError: a torch that was built without that kind of device
            raise EngineError(f"The device {device} cannot be used ({error}); set engine.device to cpu.") from error
        return cls(model, language, maximum_new_tokens, weights_hash)

    @property
    def config(self) -> ModelConfig:
        """The model's sizes."""
        return self.model.config

    def read(self, array: NDArray[np.float32], kind: Kind, spacing_mm: tuple[float, float] | None = None, indication: str = "") -> Reading:
        """Read one image.

        Args:
            array: (row, column); Hounsfield units for ``ct``, bright where more was absorbed for ``projection``.
            kind: what kind of image.
            spacing_mm: row and column spacing; only their ratio matters.
            indication: why the study was asked for; left out where the model was not trained with it.

        Raises:
            UnreadableAnswer: the model's text is not an answer.
            OutOfMemory: the device has too little memory.
        """
        channels = windowed(array, kind)
        box_frame = Letterbox.fit(channels.shape[1:], self.config.image_size, spacing_mm)
        reason = indication if self.config.reads_indication else ""
        prompt = prompt_ids(self.language, self.config.visual_tokens, QUERIES[kind], reason)
        with _memory_errors():
            visual = self.model.see(self._tensor(mllm_input(box_frame.image(channels))))
            (generated,) = self.model.generate([prompt], visual, self.maximum_new_tokens)
        text = self.language.decode(generated.ids)
        answer = parse(text)
        if sum(len(sentence.marks) for sentence in answer.sentences) != len(generated.seg_states):
            raise UnreadableAnswer("The model spelled out a [SEG] in letters; the study needs a radiologist's own reading.", text)
        masks = self._segment(channels, generated.seg_states, spacing_mm)
        return Reading(_steps_in_source(answer, box_frame), self._sentences(answer, generated, masks, box_frame), answer.impression, text)

    def follow(
        self,
        key: NDArray[np.float32],
        slices: Iterable[NDArray[np.float32]],
        kind: Kind,
        seg_states: Sequence[torch.Tensor],
        spacing_mm: tuple[float, float] | None = None,
    ) -> Iterator[tuple[Mask, ...]]:
        """Carry masks from the slice ``key``, where ``seg_states`` were written, into the slices beside it.

        Args:
            key: (row, column), as :meth:`read` got it.
            slices: what lies beside it, outwards; each is looked at when its masks are asked for.
            kind: what kind of image.
            seg_states: at least one.
            spacing_mm: row and column spacing.

        Yields:
            One mask for each state; an empty one where the object is not on the slice.
        """
        with torch.no_grad(), _memory_errors():
            _, features = self._encoded(windowed(key, kind), spacing_mm)
            track = Track(self.model.grounding_encoder, features, self.model.project(torch.stack(list(seg_states))))
        for array in slices:
            with torch.no_grad(), _memory_errors():
                frame, features = self._encoded(windowed(array, kind), spacing_mm)
                drawn = track.step(features)
                logits = drawn.logits.where(drawn.presence[:, None, None] > 0, _NOWHERE)
            yield _masks(frame, logits, drawn.expected_iou)

    def _segment(self, channels: NDArray[np.uint8], seg_states: torch.Tensor, spacing_mm: tuple[float, float] | None) -> tuple[Mask, ...]:
        if not len(seg_states):
            return ()
        with torch.no_grad(), _memory_errors():
            frame, features = self._encoded(channels, spacing_mm)
            return _masks(frame, *self.model.decode_masks(features, self.model.project(seg_states)))

    def _encoded(self, channels: NDArray[np.uint8], spacing_mm: tuple[float, float] | None) -> tuple[Letterbox, list[torch.Tensor]]:
        frame = Letterbox.fit(channels.shape[1:], self.config.segmenter_size, spacing_mm)
        return frame, self.model.encode_image(self._tensor(segmenter_input(frame.image(channels)))[None])

    def _sentences(self, answer: Answer, generated: Generated, masks: tuple[Mask, ...], frame: Letterbox) -> tuple[ReadSentence, ...]:
        confidences = self._line_confidences(generated)
        drawn = iter(zip(masks, generated.seg_states, strict=True))
        sentences = []
        for sentence in answer.sentences:
            places = tuple(_marked_place(mark, *next(drawn), frame) for mark in sentence.marks) or _boxed_place(sentence, frame)
            sentences.append(
                ReadSentence(sentence.text, sentence.name, sentence.side, sentence.presence, confidences[sentence.line], places)
            )
        return tuple(sentences)

    def _line_confidences(self, generated: Generated) -> dict[int, float]:
        """Return the geometric mean of the token probabilities of every line of the text."""
        lines: dict[int, list[float]] = {}
        line = 0
        for token, log_probability in zip(generated.ids, generated.log_probabilities, strict=True):
            lines.setdefault(line, []).append(log_probability)
            # A line break is one byte, so counting them needs no whole characters.
            line += self.language.decode([token]).count("\n")
        return {number: exp(sum(values) / len(values)) for number, values in lines.items()}

    def _tensor(self, array: NDArray[np.float32]) -> torch.Tensor:
        like = self.model.seg_projector[0].weight
        return torch.from_numpy(array).to(like.device, like.dtype)


def _masks(frame: Letterbox, logits: torch.Tensor, expected_iou: torch.Tensor) -> tuple[Mask, ...]:
    return tuple(_mask(frame.logits_to_source(each.cpu().numpy()), float(iou)) for each, iou in zip(logits, expected_iou, strict=True))


def _mask(logits: NDArray[np.float32], expected_iou: float) -> Mask:
    pixels = logits > 0
    certainty = float((1 / (1 + np.exp(-logits[pixels]))).mean()) if pixels.any() else 0.0
    return Mask(pixels, certainty * expected_iou)


def _marked_place(mark: Mark, mask: Mask, seg_state: torch.Tensor, frame: Letterbox) -> Place:
    return Place(mark.side, _in_source(mark.box, frame), mask, seg_state)


def _boxed_place(sentence: Sentence, frame: Letterbox) -> tuple[Place, ...]:
    box = _in_source(sentence.box, frame)
    return () if box is None or sentence.presence is Presence.ABSENT else (Place(sentence.side, box),)


def _steps_in_source(answer: Answer, frame: Letterbox) -> tuple[Step, ...]:
    return tuple(replace(step, parts=tuple(Part(part.name, _in_source(part.box, frame)) for part in step.parts)) for step in answer.steps)


def _in_source(box: Box | None, frame: Letterbox) -> Box | None:
    return None if box is None else frame.box_to_source(box)


@contextmanager
def _memory_errors() -> Iterator[None]:
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise OutOfMemory("The device has too little memory for the model; give it more or use another device.") from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # the CPU allocator has no error type of its own
            raise
        raise OutOfMemory("The machine has too little memory for the model; give it more.") from error
