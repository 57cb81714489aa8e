"""Answering a radiologist's question about one series: a mask for words, points or a box, or what it is that is pointed at.

It knows the model, as the engine does; no archive, no queue. Places come and go in the pixel matrix of the series.

    words                the one name in them is drawn; weights that do not keep to a list of names get the words as they are
    points, a box        drawn on the slice, or what a question before drew there is corrected
    through the slices   the mask is carried both ways until it is gone or reaches a slice that was pointed at before
    what is this         see :mod:`ai_engine.naming`
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ai_engine.consistency import SPECK_PIXELS, without_strays
from ai_engine.model.answer import label_of, names_in
from ai_engine.model.assistant import Assistant
from ai_engine.model.drawing import Encoded
from ai_engine.model.hint import Hint, corrected
from ai_engine.model.reading import Mask
from ai_engine.naming import Namer, box_around, named
from ai_engine.slices import stacked
from ai_engine.view import View
from radiology.finding import Side
from radiology.image import Image
from radiology.question import Answer, Prompt, Question, QuestionKind
from radiology.report import ModelIdentity
from radiology.study import Series
from radiology.terms import TERMS

KEPT_BYTES = 256 * 2**20
"""Encoded slices that are kept for the next question."""
_COMMAND = re.compile(
    r"^(?:please |can you |help )*(?:segment|outline|draw|mark|show(?: me)?|delineate|highlight|find|where is)?\s*(?:the|an?|any)?\s+",
    re.IGNORECASE,
)

Pixels = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Drawn:
    """What is drawn on the slice that is asked about, in the standard view, and what is said of it."""

    mask: Mask | None
    sentence: str
    name: str = ""
    side: Side | None = None
    confidence: float | None = None
    seg_state: torch.Tensor | None = None


class Answerer:
    """Answers with one loaded model; keeps what it has encoded last."""

    def __init__(self, assistant: Assistant, identity: ModelIdentity) -> None:
        self._assistant, self._drawer, self._namer, self._identity = assistant, assistant.drawer, Namer(assistant), identity
        self._unreliable = frozenset(assistant.config.unreliable)
        self._encoded: OrderedDict[tuple[str, int], Encoded] = OrderedDict()

    def answer(self, prompt: Prompt, series: Series, images: Sequence[Image], earlier: Sequence[Question] = ()) -> Answer:
        """Answer a question.

        Args:
            prompt: what is asked.
            series: what it is about.
            images: of the series, decoded.
            earlier: the questions that it follows, the first one first; each has an answer.

        Raises:
            UnsupportedImage: the model cannot look at that slice.
            EngineError: the weights cannot be asked so, or their answer cannot be read.
        """
        view = View.of(series, images, prompt.slice_index)
        drew = next((each.answer for each in reversed(earlier) if each.answer and each.answer.regions), None)
        known = _masks_in(drew, prompt.series_uid, view.shape) if drew else {}
        if prompt.kind is QuestionKind.WHAT:
            return self._named(prompt, view, known)
        drawn = self._drawn(prompt, view, known, earlier)
        if drawn.mask is None or np.count_nonzero(drawn.mask.pixels) < SPECK_PIXELS:
            sentence = drawn.sentence if drawn.mask is None else "Nothing is drawn there; point at it again."
            return Answer(sentence, self._identity, drawn.name, drawn.side, drawn.confidence)
        key, pointed = prompt.slice_index, {each.prompt.slice_index for each in earlier}
        if prompt.through_slices and (self._drawer.carries or drawn.seg_state is not None):
            masks = self._carried(view, key, drawn, known, pointed - {key})
        else:
            masks = {**known, key: view.turn.apply(drawn.mask.pixels)}
        region = stacked(prompt.series_uid, masks, {key, *pointed}, drawn.mask.score)
        return Answer(drawn.sentence, self._identity, drawn.name, drawn.side, drawn.confidence, (region,))

    def _named(self, prompt: Prompt, view: View, known: Mapping[int, Pixels]) -> Answer:
        index = prompt.slice_index
        hint = view.hint(prompt, prompt.points, known.get(index))
        region = self._pointed_at(hint, view, index)
        if not region.any():
            return Answer("Nothing is drawn there; draw a box around it.", self._identity)
        is_box = hint.box is not None and not hint.points
        said = self._namer.name(view.picture(index), view.kind, view.spacing_mm, region, is_box)
        cited = view.cited(index, hint.box or box_around(region))
        return Answer(said.sentence, self._identity, said.name, said.side, said.confidence, cited=cited)

    def _pointed_at(self, hint: Hint, view: View, index: int) -> Pixels:
        """[row, column], what is meant: the inside of the box, the mask that is there, or what is drawn for the points."""
        if hint.points:
            return self._drawer.draw(self._look(view, index), hint).pixels
        inside = np.zeros(view.shape, np.bool_)
        if hint.box is not None:
            inside[hint.box[0] : hint.box[2], hint.box[1] : hint.box[3]] = True
        return inside if hint.before is None or hint.box is not None else hint.before

    def _drawn(self, prompt: Prompt, view: View, known: Mapping[int, Pixels], earlier: Sequence[Question]) -> _Drawn:
        if not (prompt.points or prompt.box or earlier):
            return self._by_words(prompt.words, view, prompt.slice_index)
        here = [each.prompt for each in earlier if each.prompt.slice_index == prompt.slice_index]
        hint = view.hint(prompt, [point for each in (*here, prompt) for point in each.points], known.get(prompt.slice_index))
        if not hint.points and hint.box is None and hint.before is None:
            return _Drawn(None, "Nothing is drawn on this slice yet; point at it.")
        mask = self._drawer.draw(self._look(view, prompt.slice_index), hint)
        if hint.before is not None and prompt.box is None:
            mask = replace(mask, pixels=corrected(hint.before, mask.pixels, view.hint(prompt, prompt.points, None).points))
        if earlier and (said := earlier[-1].answer) is not None:
            return _Drawn(mask, said.sentence, said.name, said.side, said.confidence)
        name, side = named(prompt.words)
        label = f"{side.value} {name}" if side else name
        return _Drawn(mask, f"{label.capitalize()}." if name else "Region that the reader pointed at.", name, side)

    def _by_words(self, words: str, view: View, index: int) -> _Drawn:
        """Draw what words name. Weights with a list of names are asked for these only, in the words that they know."""
        names = names_in(words)
        if names & self._unreliable:
            listed = " or ".join(sorted(names & self._unreliable))
            return _Drawn(None, f"These weights were measured not to find {listed}; point at it, or draw a box around it.")
        if self._namer.has_list and len(names) != 1:
            known = ", ".join(name for name in TERMS if name not in self._unreliable)
            return _Drawn(None, f"These weights draw one of these by name: {known}. Point at anything else, or draw a box around it.")
        target = label_of(words) if self._namer.has_list else _COMMAND.sub("", f"{words} ").strip()
        picture = view.picture(index)
        reply = self._assistant.segment(picture, view.kind, target, view.spacing_mm)
        name, side = named(target)
        masks = [place.mask for place in reply.places if place.mask is not None]
        if not masks:
            return _Drawn(None, reply.text, name, side, reply.confidence)
        confidence = reply.confidence
        if self._namer.has_list:
            confidence = self._namer.beliefs(picture, view.kind, view.spacing_mm, [target])[target].probability
        pixels = without_strays(np.logical_or.reduce([mask.pixels for mask in masks]))
        state = reply.places[0].seg_state if len(reply.places) == 1 else None
        return _Drawn(Mask(pixels, float(np.mean([mask.score for mask in masks]))), reply.text, name, side, confidence, state)

    def _carried(self, view: View, key: int, drawn: _Drawn, known: Mapping[int, Pixels], pointed: set[int]) -> dict[int, Pixels]:
        """Carry the mask of the slice ``key`` both ways. Slices that were ``pointed`` at before, and what lies behind them, stay."""
        assert drawn.mask is not None
        above = min((index for index in pointed if index > key), default=view.slices.stop)
        below = max((index for index in pointed if index < key), default=view.slices.start - 1)
        masks = {index: mask for index, mask in known.items() if index >= above or index <= below}
        masks[key] = view.turn.apply(drawn.mask.pixels)
        for path in (range(key + 1, above), range(key - 1, below, -1)):
            last = drawn.mask.pixels
            beside = (self._look(view, index) for index in path)
            carried = self._drawer.carry(self._look(view, key), beside, drawn.mask.pixels, drawn.seg_state)
            for index, mask in zip(path, carried, strict=False):
                pixels = without_strays(mask.pixels)
                if not (pixels & last).any():
                    break
                masks[index], last = view.turn.apply(pixels), pixels
        return masks

    def _look(self, view: View, index: int) -> Encoded:
        """Return a slice encoded; the ones that were looked at last are kept."""
        place = (view.image.series_uid, index)
        if place not in self._encoded:
            self._encoded[place] = self._drawer.encode(view.picture(index), view.kind, view.spacing_mm)
        self._encoded.move_to_end(place)
        while sum(each.size_bytes for each in self._encoded.values()) > KEPT_BYTES and len(self._encoded) > 1:
            self._encoded.popitem(last=False)
        return self._encoded[place]

    def forget(self) -> None:
        """Forget what was encoded, because another series is looked at or this one has changed."""
        self._encoded.clear()


def _masks_in(answer: Answer, series_uid: str, shape: tuple[int, int]) -> dict[int, Pixels]:
    """Return what an answer drew in a series: slice index -> mask (row, column) of the whole slice."""
    masks: dict[int, Pixels] = {}
    for region in answer.regions:
        if region.series_uid != series_uid or region.mask is None:
            continue
        first, rows, columns = region.box.slices
        for index, mask in zip(range(first.start, first.stop), region.mask, strict=True):
            if mask.any():
                masks.setdefault(index, np.zeros(shape, np.bool_))[rows, columns] |= mask
    return masks
