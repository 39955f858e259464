"""Work on many things by a function that is made once for each worker, such as a loaded model."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

X = TypeVar("X")
Y = TypeVar("Y")


class MapMade(Protocol):
    """Who does the work: this process, or an engine's workers."""

    def __call__(self, make: Callable[[], Callable[[X], Y]], items: Sequence[X]) -> Iterator[Y]:
        """What the function that `make` returns makes of each item, in order."""
        ...


def here(make: Callable[[], Callable[[X], Y]], items: Sequence[X]) -> Iterator[Y]:
    """In this process, one item after the other; without items nothing is made."""
    if items:
        yield from map(make(), items)
