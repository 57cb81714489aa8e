"""Fit what a model's answers about a finding are worth: ``python -m training.calibrate --weights DIR --data CASES [--limit N]``.

Asks about held-out scenes of our own whether each finding is there, on each side, and has it drawn; fits what the two answers are worth to
the truth (Platt's scaling of two scores: three parameters, maximum likelihood), and takes as the bound of doubt the probability with the
best F1, or, with ``--like``, the one that calls as many findings present as other weights do. ``--unreliable`` names findings that the
weights were measured not to find; of them the engine passes nothing on (decision 5). All is written into ``config.json`` of the weights.

Weights that were fine-tuned on collected cases are surer of these than of scenes, so the bound of the scenes is not theirs. ``--bound-on``
chooses it on the patients that a fold of :mod:`training.collected` held out, who are then no longer fit to be reported on; ``--bound``
takes the one that other folds gave.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.progress import track
from scipy.optimize import minimize

from ai_engine.model.assistant import Assistant
from ai_engine.model.config import PresenceConfig
from ai_engine.model.weights import CONFIG
from radiology.terms import TERMS
from training.command import run
from training.data.manifest import ManifestError
from training.data.tasks import SIDED
from training.evaluation.calibration import expected_calibration_error
from training.evaluation.truth import Truth, scenes
from training.parts import name_of

Numbers = NDArray[np.float64]


def fit(scores: Numbers, there: NDArray[np.bool_]) -> PresenceConfig:
    """Return the scale under which ``scores`` [question, (said, drawn)] make the truth [question] likeliest, and the bound of best F1.

    Neither score may count against what it speaks for. One question more of either answer, at the middle of the odds, keeps the slopes
    finite where the model is never wrong.
    """
    known = np.vstack([scores, np.zeros((2, 2))])
    truth = np.append(there, [True, False])

    def surprise(parameters: Numbers) -> float:
        scaled = known @ parameters[:2] + parameters[2]
        return float(np.logaddexp(0, np.where(truth, -scaled, scaled)).sum())

    said, drawn, shift = minimize(surprise, (1.0, 0.0, 0.0), method="L-BFGS-B", bounds=((0, None), (0, None), (None, None))).x
    scale = PresenceConfig(slope=float(said), mask_slope=float(drawn), shift=float(shift))
    return scale.model_copy(update={"doubt_below": best_bound(probabilities(scale, scores), there)})


def best_bound(probabilities: Numbers, there: NDArray[np.bool_]) -> float:
    """Return the probability, to one hundredth and at most one half, from which calling a finding present gives the best F1."""
    bounds = np.arange(1, 51) / 100
    called = probabilities >= bounds[:, None]
    right = (called & there).sum(1)
    f1 = 2 * right / np.maximum(1, called.sum(1) + there.sum())
    return float(bounds[np.flatnonzero(f1 == f1.max())[-1]])


def bound_of(probabilities: Numbers, count: int) -> float:
    """Return the bound from which ``count`` of the probabilities are called present, to a thousandth below the last of them."""
    return float(np.floor(np.sort(probabilities)[-count] * 1000) / 1000)


def ask(assistant: Assistant, asked: Sequence[Truth], but: Collection[str] = ()) -> tuple[Numbers, NDArray[np.bool_]]:
    """Return what a model answers about every finding on each side [question, (said, drawn)], and what is true [question].

    Of each image it is asked what somebody looked for there, ``but`` for some findings.
    """
    scores: list[tuple[float, float]] = []
    there: list[bool] = []
    for truth in track(asked, description="asking"):
        targets = [target for target in SIDED if name_of(target) in truth.judged and name_of(target) not in but]
        answers = assistant.evidence(truth.image, truth.kind, targets) if targets else {}
        scores += [(each.said, each.drawn) for each in answers.values()]
        there += [target in truth.masks for target in answers]
    return np.array(scores), np.array(there)


def probabilities(scale: PresenceConfig, scores: Numbers) -> Numbers:
    """Return how probable each finding is [question], from ``scores`` [question, (said, drawn)]."""
    return np.array([scale.probability(*score) for score in scores])


def _called(other: Assistant, asked: Sequence[Truth]) -> int:
    """How many questions about scenes other weights answer with yes."""
    presence = other.config.presence
    if presence is None:
        raise typer.BadParameter("The weights in --like are not calibrated.")
    return int((probabilities(presence, ask(other, asked)[0]) >= presence.doubt_below).sum())


def main(
    weights: Annotated[Path, typer.Option(help="Folder of the weights; its config.json is changed.")],
    data: Annotated[list[Path], typer.Option(help="Folder of training.data.cases; may be given again.")],
    limit: Annotated[int, typer.Option(help="Scenes to ask about.")] = 300,
    like: Annotated[Path | None, typer.Option(help="Calibrated weights: as many questions as they do are to be called present.")] = None,
    bound_on: Annotated[
        Path | None,
        typer.Option(help="Folder of training.collected; the bound is chosen on its held-out patients, of what is passed on."),
    ] = None,
    bound: Annotated[float | None, typer.Option(min=0, max=1, help="The bound, chosen elsewhere.")] = None,
    unreliable: Annotated[
        list[str] | None,
        typer.Option(help="A finding of which nothing is to be passed on; may be given again. Takes the place of the list before, if any."),
    ] = None,
    threads: int = 1,
) -> None:
    """Calibrate weights."""
    unknown = sorted(set(unreliable or ()) - set(TERMS))
    if unknown:
        raise typer.BadParameter(f"There is no finding called {', '.join(unknown)}; the names are {', '.join(TERMS)}.")
    if sum(each is not None for each in (like, bound_on, bound)) > 1:
        raise typer.BadParameter("The bound is chosen in one way: give --like, --bound-on or --bound, not two of them.")
    assistant = Assistant.load(weights, threads=threads)
    asked = list(scenes(data[0], "held_out_scenes", limit, *data[1:]))
    if not asked:
        raise ManifestError(f"{', '.join(map(str, data))} has no held-out scenes to ask about; training.data.cases makes some.")
    scores, there = ask(assistant, asked)
    print(f"{len(there)} questions, {sum(there)} of them to be answered with yes")
    both = fit(scores, there)
    for name, each in (("as said", PresenceConfig()), ("scaled", both)):
        error = expected_calibration_error(probabilities(each, scores).tolist(), there.tolist())
        print(f"{name}: expected calibration error {error:.3f}")
    withheld = tuple(unreliable) if unreliable else assistant.config.unreliable
    if like:
        bound = bound_of(probabilities(both, scores), _called(Assistant.load(like, threads=threads), asked))
    if bound_on:
        scores, there = ask(assistant, scenes(bound_on, "held_out_patient"), withheld)
        if not there.any():
            raise ManifestError(f"The held-out patients of {bound_on} have none of the findings that are passed on; choose another fold.")
        bound = best_bound(probabilities(both, scores), there)
    presence = both if bound is None else both.model_copy(update={"doubt_below": bound})
    config = assistant.config.model_copy(update={"presence": presence, "unreliable": withheld})
    (weights / CONFIG).write_text(config.model_dump_json(indent=2) + "\n")
    print(f"{presence}; nothing is passed on of: {', '.join(config.unreliable) or 'nothing, so everything is'}")


if __name__ == "__main__":
    run(main)
