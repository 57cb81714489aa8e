"""The stream of training material: shuffled cases, encoded and packed window by window, the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from training.data.cases import Case
from training.examples import Encoder, Pictures
from training.packing import Row, pack
from training.parts import is_finding
from training.stages import Config, Stage

Material = Row | Pictures
"""What one optimizer step learns from."""


@dataclass
class Stream:
    """Material without end: one of ``config.rows`` streams that share the windows. ``window`` and ``row`` say where it stands.

    Where there are ``rehearsed`` cases, every second one of the material is one of them.
    """

    cases: Sequence[Case]
    encode: Encoder
    config: Config
    window: int
    row: int = 0
    dropped: set[str] = field(default_factory=set)
    rehearsed: Sequence[Case] = ()

    @property
    def pass_samples(self) -> int:
        """Samples of one pass over the cases, with as many rehearsed ones."""
        return len(self.cases) * (2 if self.rehearsed else 1)

    def materials(self, stage: Stage) -> Iterator[Material]:
        """Yield a stage's material from where the stream stands; the next window is encoded meanwhile."""
        with ThreadPoolExecutor(1) as ahead:
            waiting: Future[list[Material]] = ahead.submit(self._window, self.window, stage)
            while True:
                materials = waiting.result()
                waiting = ahead.submit(self._window, self.window + self.config.rows, stage)
                while self.row < len(materials):
                    self.row += 1
                    yield materials[self.row - 1]
                self.window, self.row = self.window + self.config.rows, 0

    def turn(self) -> None:
        """Leave the rest of a begun window: another stage makes other material of it."""
        if self.row:
            self.window, self.row = self.window + self.config.rows, 0

    def _window(self, window: int, stage: Stage) -> list[Material]:
        chosen = self._chosen(window, stage)
        draws = [np.random.default_rng((self.config.seed, 1, window, number)) for number, _ in chosen]
        cases = [case for _, case in chosen]
        if stage.images:
            parts = [slice(first, first + stage.images) for first in range(0, len(cases), stage.images)]
            return [self.encode.pictures(cases[part], draws[part], stage.weights) for part in parts]
        shares = np.array(list(stage.tasks.values())) / sum(stage.tasks.values())
        drawn = np.random.default_rng((self.config.seed, 3, window)).choice(len(shares), len(cases), p=shares)
        tasks = [list(stage.tasks)[each] for each in drawn]
        samples = [self.encode.sample(case, rng, stage.weights, task) for case, rng, task in zip(cases, draws, tasks, strict=True)]
        rows = pack(samples, self.config.row_tokens, self.encode.language.seg, self.dropped.add)
        return [rows[index] for index in np.random.default_rng((self.config.seed, 2, window)).permutation(len(rows))]

    def _chosen(self, window: int, stage: Stage) -> list[tuple[int, Case]]:
        """The cases of a window, each with a number of its own, also where it comes again."""
        dealt = self._balanced if stage.balanced else np.arange(len(self.cases))
        whole = max(1, self.config.window // stage.images) * stage.images if stage.images else self.config.window
        size = min(max(1, whole // 2) if self.rehearsed else whole, len(dealt))
        per_epoch = len(dealt) // size
        order = np.random.default_rng((self.config.seed, window // per_epoch)).permutation(len(dealt))
        chosen = [(deal, self.cases[dealt[deal]]) for deal in order[(window % per_epoch) * size :][:size].tolist()]
        if not self.rehearsed:
            return chosen
        old = np.random.default_rng((self.config.seed, 5, window)).integers(len(self.rehearsed), size=size).tolist()
        beside = [(len(dealt) + place, self.rehearsed[place]) for place in old]
        return [each for pair in zip(chosen, beside, strict=True) for each in pair]

    @cached_property
    def _balanced(self) -> NDArray[np.intp]:
        """Places of the cases, those with a finding or those without so often that there are about as many of both."""
        abnormal = np.array([any(map(is_finding, case.masks)) for case in self.cases])
        groups = [np.flatnonzero(abnormal), np.flatnonzero(~abnormal)]
        most = max(map(len, groups))
        return np.concatenate([np.tile(group, round(most / len(group))) for group in groups if len(group)])
