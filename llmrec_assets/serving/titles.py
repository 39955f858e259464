"""Items found by words of their titles."""

from collections.abc import Sequence


class TitleSearch:
    """Titles that contain every asked word, whatever its case; all of them without a word."""

    def __init__(self, titles: Sequence[str | None]) -> None:
        """`titles` in the order of codes, from code 1."""
        self._titles = [(title or "").casefold() for title in titles]

    def find(self, query: str, most: int) -> list[int]:
        """At most `most` codes, titles that begin with the query first."""
        words = query.casefold().split()
        if not words:
            return list(range(1, min(most, len(self._titles)) + 1))
        first, then = [], []
        for code, title in enumerate(self._titles, start=1):
            if words[0] in title and all(word in title for word in words):
                (first if title.startswith(words[0]) else then).append(code)
                if len(first) == most:
                    break
        return (first + then)[:most]
