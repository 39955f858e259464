"""What a look at a store finds; every finding that is not well has its remedy."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from llmrec_assets.layout import Layout


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    well: bool
    says: str
    remedy: str = ""  # of what is not well


Check = Callable[[Layout], Iterator[Finding]]
