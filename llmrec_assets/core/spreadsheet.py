"""Cells that a spreadsheet shows as they are, and gives back as they were.

A cell that begins like a formula would be run, and one that begins with a digit may become a date,
lose its leading zeros, or be rounded. Such a cell gets an apostrophe in front.
"""

import re

_GUARD = "'"
_FORMULA = "=+-@\t\r\n＝＋－＠"
_AT_RISK = re.compile(rf"[{re.escape(_FORMULA)}{_GUARD}0-9]")
_PLAIN_NUMBER = re.compile(r"(0|[1-9][0-9]{0,10})([.][0-9]*[1-9])?")


def guarded(cell: str) -> str:
    """The text as it is safe in a cell."""
    if _AT_RISK.match(cell) and not _PLAIN_NUMBER.fullmatch(cell):
        return _GUARD + cell
    return cell


def unguarded(cell: str) -> str:
    """The text of a cell that `guarded` made, or that a person typed."""
    if cell.startswith(_GUARD) and _AT_RISK.match(cell, 1):
        return cell.removeprefix(_GUARD)
    return cell
