"""Bytes and text from outside, made worse by a fuzzer (atheris): every reader gives a value or one of the errors that it promises.

A target is a module of this package with two functions:

    seeds()      good inputs by name, to begin with
    play(data)   gives one input to the reader; raises where the reader breaks its promise

and, where bytes have a form that few changes leave whole, ``mutate(data, size, seed)`` as atheris takes it. What is in
``corpus/TARGET`` is kept for ever: inputs that once broke the reader (``broke-...``), and inputs that reach code that the seeds do
not. ``test_corpus`` plays all of them without atheris.

    python -m tests.fuzz TARGET --seconds N [--corpus DIR]
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

TARGETS = ("answer", "decision", "header", "lane", "metadata", "results", "rules", "study")


def corpus(target: str) -> Path:
    """The folder of the inputs that are kept for a target."""
    return Path(__file__).parent / "corpus" / target


def load(target: str) -> Any:
    """Import the module of a target."""
    return import_module(f"tests.fuzz.{target}")


def inputs(target: str) -> Mapping[str, bytes]:
    """Return all inputs of a target by name: its seeds, and what is kept."""
    kept = {path.name: path.read_bytes() for path in sorted(corpus(target).glob("*"))}
    return {**load(target).seeds(), **kept}
