"""A reader who never looks: it knows what training images of a kind usually show, and says that of every image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ai_engine.model.images import Kind, Letterbox
from ai_engine.model.reading import Reading
from training.data.cases import Case
from training.evaluation.drawn import Drawn, reading_of

SIDE = 128
"""Cells along a side of the mean masks."""
MOST = 500
"""Training images that are looked at."""


@dataclass(frozen=True, eq=False)
class Blind:
    """Mean masks [SIDE, SIDE] by kind of image and label, and the share of the images that show each label."""

    means: dict[Kind, dict[str, NDArray[np.float32]]]
    shares: dict[Kind, dict[str, float]]

    @classmethod
    def of(cls, cases: Sequence[Case]) -> Self:
        """Look at up to :data:`MOST` training images, drawn at random."""
        sums: dict[Kind, dict[str, NDArray[np.float32]]] = defaultdict(dict)
        counts: dict[Kind, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        images: dict[Kind, int] = defaultdict(int)
        for index in np.random.default_rng(0).permutation(len(cases))[:MOST]:
            case = cases[int(index)]
            images[case.kind] += 1
            letterbox = Letterbox.fit((case.image.shape[0], case.image.shape[1]), SIDE)
            for label, mask in case.masks.items():
                sums[case.kind][label] = sums[case.kind].get(label, np.float32(0)) + letterbox.mask_to_model(mask, SIDE)
                counts[case.kind][label] += 1
        means = {
            kind: {label: there / np.float32(counts[kind][label]) for label, there in of_kind.items()} for kind, of_kind in sums.items()
        }
        return cls(means, {kind: {label: count / images[kind] for label, count in counts[kind].items()} for kind in counts})

    def read_many(self, arrays: Sequence[NDArray[np.float32]], kind: Kind) -> list[Reading]:
        """State what most training images show, where at least half of those agree; deny what most do not show."""
        return [self._read(array, kind) for array in arrays]

    def _read(self, array: NDArray[np.float32], kind: Kind) -> Reading:
        shape = (array.shape[0], array.shape[1])
        letterbox = Letterbox.fit(shape, SIDE)
        drawn = {}
        for label, share in self.shares[kind].items():
            there = letterbox.logits_to_source(self.means[kind][label] - 0.5) > 0
            drawn[label] = Drawn(there if share > 0.5 else np.zeros(shape, np.bool_), share)
        return reading_of(drawn)
