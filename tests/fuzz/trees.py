"""Changes of JSON that leave it JSON: something else in the place of a value, wherever in the tree it is."""

import json
import random
from collections.abc import Iterator
from typing import Any

_ODD = (None, True, 0, -1, 1, 2, 8, 1 << 31, 1 << 64, 10**40, 0.5, 1e308, "", "1.2", "=", "AAAA", "\ud800", [], {}, [0, 0, 0], [2, 8, 8])


def mutate(data: bytes, size: int, seed: int) -> bytes:
    """Take a value or two out or put something else in their place; or change the text (atheris' ``custom_mutator``)."""
    import atheris  # not there where only the kept inputs are played

    chance = random.Random(seed)
    try:
        body = json.loads(data)
        for _ in range(chance.randrange(1, 3)):
            holder, key = chance.choice(list(_values(body)))
            other = chance.choice([*_ODD, *(inner[place] for inner, place in _values(body))])
            holder[key] = json.loads(json.dumps(other))
            if chance.random() < 0.1:
                del holder[key]
        changed = json.dumps(body).encode()
    except (ValueError, IndexError, RecursionError):
        changed = b""
    return changed if 0 < len(changed) <= size and chance.random() < 0.8 else atheris.Mutate(data, size)


def _values(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every value in a tree, as what holds it and where."""
    for key in tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield tree, key
        yield from _values(tree[key])
