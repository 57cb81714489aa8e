"""The stream of training material: shuffled cases, encoded and packed window by window, the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from training.data.cases import Case
from training.examples import Encoder, Pictures
from training.packing import Row, pack
from training.stages import Config, Stage

Material = Row | Pictures
"""What one optimizer step learns from."""


@dataclass
class Stream:
    """Material without end: one of ``config.rows`` streams that share the windows. ``window`` and ``row`` say where it stands."""

    cases: Sequence[Case]
    encode: Encoder
    config: Config
    window: int
    row: int = 0
    dropped: set[str] = field(default_factory=set)

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
        whole = max(1, self.config.window // stage.images) * stage.images if stage.images else self.config.window
        size = min(whole, len(self.cases))
        per_epoch = len(self.cases) // size
        order = np.random.default_rng((self.config.seed, window // per_epoch)).permutation(len(self.cases))
        chosen = [int(index) for index in order[(window % per_epoch) * size :][:size]]
        draws = [np.random.default_rng((self.config.seed, 1, window, index)) for index in chosen]
        if stage.images:
            parts = [slice(first, first + stage.images) for first in range(0, size, stage.images)]
            return [self.encode.pictures([self.cases[index] for index in chosen[part]], draws[part], stage.weights) for part in parts]
        shares = np.array(list(stage.tasks.values())) / sum(stage.tasks.values())
        drawn = np.random.default_rng((self.config.seed, 3, window)).choice(len(shares), size, p=shares)
        tasks = [list(stage.tasks)[each] for each in drawn]
        asked = zip(chosen, draws, tasks, strict=True)
        samples = [self.encode.sample(self.cases[index], rng, stage.weights, task) for index, rng, task in asked]
        rows = pack(samples, self.config.row_tokens, self.encode.language.seg, self.dropped.add)
        return [rows[index] for index in np.random.default_rng((self.config.seed, 2, window)).permutation(len(rows))]
