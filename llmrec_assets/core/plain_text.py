"""Titles and other words of strangers, made fit to stand in a sentence."""

import unicodedata

CONTROL = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # nothing to see, or what turns a line around
ELLIPSIS = "…"
_QUOTES = str.maketrans({"“": "'", "”": "'", '"': "'", "„": "'", "«": "'", "»": "'"})


def has_control(text: str) -> bool:
    """Whether a character is a control, a line break, a format mark, or none at all."""
    return any(unicodedata.category(character) in CONTROL for character in text)


def one_line(text: str, most: int) -> str:
    """Without such characters and double quotes, on one line, of at most `most` characters.

    So what is put between double quotes ends where they end.
    """
    seen = "".join(" " if unicodedata.category(c) in CONTROL else c for c in text)
    plain = " ".join(seen.translate(_QUOTES).split())
    return plain if len(plain) <= most else plain[: most - 1].rstrip() + ELLIPSIS


def folded(text: str) -> str:
    """For comparing: signs in their plain form (NFKC) and without case."""
    return unicodedata.normalize("NFKC", text).casefold()
