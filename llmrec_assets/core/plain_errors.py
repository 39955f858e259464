"""Messages of errors without the values that they quote, which may be ids of users."""

import re

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|(?<=Input: ).*", re.DOTALL)


def without_values(message: str) -> str:
    """The message with … where it quotes something."""
    return _QUOTED.sub("…", message)
