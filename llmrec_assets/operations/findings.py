"""What a look at a store finds; every finding that is not well has its remedy."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from llmrec_assets.layout import Layout


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    well: bool
    says: str
    remedy: str = ""  # of what is not well

    @classmethod
    def unless(
        cls, found: Sequence[str], name: str, wrong: str, well: str, remedy: str
    ) -> "Finding":
        """Well where nothing was `found`; else it says what is `wrong` with each."""
        return cls(name, not found, f"{wrong} {', '.join(found)}" if found else well, remedy)


Check = Callable[[Layout], Iterator[Finding]]
