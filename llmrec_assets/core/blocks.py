"""How many rows are worked on at a time, so that memory does not grow with users times items.

NumPy only: this module loads with the definitions.
"""

from collections.abc import Iterator

CELLS = 1 << 22  # scores held at a time: 16 MB
MOST_ROWS = 256  # more rows a block make nothing faster


def rows_of(n_items: int, least: int = 1) -> int:
    """How many rows of scores of all items are held at a time."""
    return min(MOST_ROWS, max(least, CELLS // max(n_items, 1)))


def rows_of_lists(n_items: int) -> int:
    """How many lists are made at a time, of which the scores of all items are there three times.

    Larger arrays are given back to the system after each block, and cleared anew for the next:
    that takes half as long as all else.
    """
    return min(MOST_ROWS, max(32, CELLS // 2 // max(n_items, 1)))


def parts_of(n: int, n_items: int) -> Iterator[slice]:
    """Slices of n rows, each of `rows_of(n_items)` at most."""
    size = rows_of(n_items)
    return (slice(start, start + size) for start in range(0, n, size))
