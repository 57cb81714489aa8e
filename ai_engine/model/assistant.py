"""The assistant: images in, sentences with the places they are about out. Knows no study, no DICOM and no volume.

``read`` and ``read_many`` report, ``segment``, ``detect`` and ``ask`` answer what somebody wants to know of one image; ``drawer`` draws
what somebody points at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from math import exp
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from ai_engine.model.answer import Answer, Mark, Part, Sentence, Step, names_in, parse
from ai_engine.model.compiled import compile_encoders
from ai_engine.model.confidence import Evidence, confidences, evidence
from ai_engine.model.config import ModelConfig
from ai_engine.model.drawing import Drawer, memory_errors
from ai_engine.model.images import Box, Kind, Letterbox, mllm_input, windowed
from ai_engine.model.language import END, SEG, Language
from ai_engine.model.prompt import BRIEFLY, DETECTION_QUERIES, QUERIES, SEGMENTATION_QUERIES, prompt_ids
from ai_engine.model.reading import Located, Mask, Place, Reading, ReadSentence, Reply
from ai_engine.model.tasks import compose_segmentation, parse_detection, parse_question, parse_segmentation
from ai_engine.model.unified import Generated, UnifiedModel
from ai_engine.model.weights import load_weights
from radiology.errors import EngineError, UnreadableAnswer
from radiology.finding import Presence
from radiology.settings import Encoders
from radiology.terms import TERMS

TOGETHER = 8
"""How many images are read at a time; more would take more memory and no less time for each."""
_SPELLED = "The model spelled out a [SEG] in letters; the study needs a radiologist's own reading."


class Assistant:
    """A loaded model that reads images."""

    def __init__(self, model: UnifiedModel, language: Language, maximum_new_tokens: int = 512, weights_hash: str = "") -> None:
        self.model = model
        self.drawer = Drawer(model)
        self.language = language
        self.maximum_new_tokens = maximum_new_tokens
        self.weights_hash = weights_hash

    @classmethod
    def load(cls, folder: Path, device: str = "cpu", threads: int = 2, maximum_new_tokens: int = 512, encoders: Encoders = "torch") -> Self:
        """Load a weights folder. ``threads`` holds for the whole process; ``encoders`` says what runs them. Raises ``EngineError``."""
        torch.set_num_threads(threads)
        try:
            model, language, weights_hash = load_weights(folder, device=device)
        except (RuntimeError, AssertionError) as error:  # AssertionError: a torch that was built without that kind of device
            raise EngineError(f"The device {device} cannot be used ({error}); set engine.device to cpu.") from error
        if encoders == "openvino":
            compile_encoders(model, threads)
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
        (reading,) = self.read_many([array], kind, spacing_mm, indication)
        if isinstance(reading, UnreadableAnswer):
            raise reading
        return reading

    def read_many(
        self, arrays: Sequence[NDArray[np.float32]], kind: Kind, spacing_mm: tuple[float, float] | None = None, indication: str = ""
    ) -> list[Reading | UnreadableAnswer]:
        """Read images of one kind and spacing together; what is said of each is what :meth:`read` says. See there for the arguments.

        Returns:
            A reading for each, or why there is none.
        """
        reason = indication if self.config.reads_indication else ""
        return [
            reading
            for first in range(0, len(arrays), TOGETHER)
            for reading in self._read(
                [windowed(array, kind) for array in arrays[first : first + TOGETHER]], QUERIES[kind], spacing_mm, reason
            )
        ]

    def segment(self, array: NDArray[np.float32], kind: Kind, target: str, spacing_mm: tuple[float, float] | None = None) -> Reply:
        """Draw ``target``, such as ``left lung``; any words, neutralised. An absent one is answered by a sentence without a mask.

        A finding that is drawn, but less probable than a report may state, is said to be absent.
        """
        channels = windowed(array, kind)
        visual = self._see([channels], spacing_mm)
        generated, text = self._answer(visual, SEGMENTATION_QUERIES[0].format(target=target))
        answer = parse_segmentation(text)
        if len(answer.labels) != len(generated.seg_states):
            raise UnreadableAnswer(_SPELLED, text)
        picture = self.drawer.encode_channels(channels, spacing_mm)
        masks = self.drawer.draw_states(picture, generated.seg_states)
        drawn = zip(answer.labels, masks, generated.seg_states, strict=True)
        places = [Located(label, mask, seg_state=state) for label, mask, state in drawn]
        reply = Reply(answer.text, exp(generated.log_probabilities[0]), tuple(places))
        return self._held_to_bound(reply, visual, lambda: picture.features)

    def detect(self, array: NDArray[np.float32], kind: Kind, target: str, spacing_mm: tuple[float, float] | None = None) -> Reply:
        """Box ``target``, such as ``left lung``; any words, neutralised. An absent one is answered by a sentence without a box.

        A finding that is boxed, but less probable than a report may state, is said to be absent.
        """
        channels = windowed(array, kind)
        visual = self._see([channels], spacing_mm)
        generated, text = self._answer(visual, DETECTION_QUERIES[0].format(target=target))
        frame = Letterbox.fit(channels.shape[1:], self.config.image_size, spacing_mm)
        boxes = ((part.name, _in_source(part.box, frame)) for part in parse_detection(text))
        places = tuple(Located(name or target, box=box) for name, box in boxes if box is not None)
        reply = Reply(text.removesuffix(END).strip(), exp(generated.log_probabilities[0]), places)
        return self._held_to_bound(reply, visual, lambda: self.drawer.encode_channels(channels, spacing_mm).features)

    def ask(self, array: NDArray[np.float32], kind: Kind, question: str, spacing_mm: tuple[float, float] | None = None) -> Reply:
        """Answer a question about an image with a word or phrase; any words, neutralised."""
        generated, text = self._answer(self._see([windowed(array, kind)], spacing_mm), f"{question} {BRIEFLY}")
        return Reply(parse_question(text), exp(generated.log_probabilities[0]))

    def evidence(
        self, array: NDArray[np.float32], kind: Kind, targets: Sequence[str], spacing_mm: tuple[float, float] | None = None
    ) -> dict[str, Evidence]:
        """Return what the model answers when it is asked whether each of ``targets`` is there, and made to draw it."""
        channels = windowed(array, kind)
        features = self.drawer.encode_channels(channels, spacing_mm).features
        with torch.inference_mode(), memory_errors():
            return evidence(self.model, self.language, self._see([channels], spacing_mm), features, targets)

    def _held_to_bound(self, reply: Reply, visual: torch.Tensor, features: Callable[[], list[torch.Tensor]]) -> Reply:
        """Hold the findings that a reply points at to the bound of :meth:`_doubts`; ``features``: SAM 2's, which not every reply needs."""
        presence = self.config.presence
        asked = [each.label for each in reply.places if any(TERMS[name].kind != "structure" for name in names_in(each.label))]
        if presence is None or not presence.doubt_below or not asked:
            return reply
        with torch.inference_mode(), memory_errors():
            answers = evidence(self.model, self.language, visual, features(), asked)
        chances = {label: presence.probability(each.said, each.drawn) for label, each in answers.items()}
        improbable = [label for label, chance in chances.items() if chance < presence.doubt_below]
        if not improbable:
            return reply
        kept = tuple(each for each in reply.places if each.label not in improbable)
        text = compose_segmentation([each.label for each in kept], improbable).replace(f" {SEG}", "")
        return Reply(text, reply.confidence if kept else 1 - max(chances.values()), kept)

    def _answer(self, visual: torch.Tensor, query: str) -> tuple[Generated, str]:
        with memory_errors():
            prompt = prompt_ids(self.language, self.config.visual_tokens, query)
            (generated,) = self.model.generate([prompt], visual, self.maximum_new_tokens)
        return generated, self.language.decode(generated.ids)

    def _read(
        self, pictures: Sequence[NDArray[np.uint8]], query: str, spacing_mm: tuple[float, float] | None, indication: str
    ) -> list[Reading | UnreadableAnswer]:
        prompt = prompt_ids(self.language, self.config.visual_tokens, query, indication)
        visual = self._see(pictures, spacing_mm)
        with memory_errors():
            answers = self.model.generate([prompt] * len(pictures), visual, self.maximum_new_tokens)
        texts = [self.language.decode(generated.ids) for generated in answers]
        parsed = [_parsed(text, len(generated.seg_states)) for text, generated in zip(texts, answers, strict=True)]
        readings: list[Reading | UnreadableAnswer] = []
        seen = visual.split(self.config.visual_tokens)
        for channels, tokens, generated, text, answer in zip(pictures, seen, answers, texts, parsed, strict=True):
            if isinstance(answer, UnreadableAnswer):
                readings.append(answer)
                continue
            frame = Letterbox.fit(channels.shape[1:], self.config.image_size, spacing_mm)
            picture = self.drawer.encode_channels(channels, spacing_mm)
            masks = self.drawer.draw_states(picture, generated.seg_states)
            with torch.inference_mode(), memory_errors():
                sure = confidences(self.model, self.language, tokens, picture.features, answer.sentences, generated)
            sentences = self._sentences(answer, sure, zip(masks, generated.seg_states, strict=True), frame)
            readings.append(Reading(_steps_in_source(answer, frame), sentences, answer.impression, text))
        return readings

    def _see(self, pictures: Sequence[NDArray[np.uint8]], spacing_mm: tuple[float, float] | None) -> torch.Tensor:
        """Return the visual tokens of pictures (channel, row, column), one picture after the other."""
        frames = [Letterbox.fit(channels.shape[1:], self.config.image_size, spacing_mm) for channels in pictures]
        patches = [mllm_input(frame.image(channels)) for frame, channels in zip(frames, pictures, strict=True)]
        with torch.inference_mode(), memory_errors():
            return self.model.see(self._tensor(np.concatenate(patches)))

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

        Returns:
            For each slice, when it is asked for, one mask for each state; an empty one where the object is not on the slice.
        """
        encoded = (self.drawer.encode(array, kind, spacing_mm) for array in slices)
        return self.drawer.follow_states(self.drawer.encode(key, kind, spacing_mm), encoded, torch.stack(list(seg_states)))

    def _sentences(
        self, answer: Answer, sure: Sequence[float], drawn: Iterator[tuple[Mask, torch.Tensor]], frame: Letterbox
    ) -> tuple[ReadSentence, ...]:
        sentences = []
        for sentence, confidence in zip(answer.sentences, sure, strict=True):
            places = tuple(_marked_place(mark, *next(drawn), frame) for mark in sentence.marks) or _boxed_place(sentence, frame)
            doubted = self._doubts(sentence, confidence)
            sentences.append(ReadSentence(sentence.text, sentence.name, sentence.side, sentence.presence, confidence, places, doubted))
        return tuple(sentences)

    def _doubts(self, sentence: Sentence, confidence: float) -> bool:
        """Whether what is stated is too improbable, or what is denied not improbable enough, by one and the same bound."""
        bound = self.config.presence.doubt_below if self.config.presence else 0.0
        if not bound or sentence.name not in TERMS or TERMS[sentence.name].kind == "structure":
            return False
        is_denied = sentence.presence is Presence.ABSENT
        return ((1 - confidence if is_denied else confidence) >= bound) is is_denied

    def _tensor(self, array: NDArray[np.float32]) -> torch.Tensor:
        like = self.model.seg_projector[0].weight
        return torch.from_numpy(array).to(like.device, like.dtype)


def _parsed(text: str, states: int) -> Answer | UnreadableAnswer:
    try:
        answer = parse(text)
    except UnreadableAnswer as error:
        return error
    marks = sum(len(sentence.marks) for sentence in answer.sentences)
    return answer if marks == states else UnreadableAnswer(_SPELLED, text)


def _marked_place(mark: Mark, mask: Mask, seg_state: torch.Tensor, frame: Letterbox) -> Place:
    return Place(mark.side, _in_source(mark.box, frame), mask, seg_state)


def _boxed_place(sentence: Sentence, frame: Letterbox) -> tuple[Place, ...]:
    box = _in_source(sentence.box, frame)
    return () if box is None or sentence.presence is Presence.ABSENT else (Place(sentence.side, box),)


def _steps_in_source(answer: Answer, frame: Letterbox) -> tuple[Step, ...]:
    return tuple(replace(step, parts=tuple(Part(part.name, _in_source(part.box, frame)) for part in step.parts)) for step in answer.steps)


def _in_source(box: Box | None, frame: Letterbox) -> Box | None:
    return None if box is None else frame.box_to_source(box)
