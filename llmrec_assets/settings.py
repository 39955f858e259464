"""Settings from the environment: the defaults of the typed config, read when definitions load."""

import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TypeVar

PREFIX = "LLMREC_"
TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


Scalar = TypeVar("Scalar", bool, int, float, str)
Choice = TypeVar("Choice", bound=str)


class SettingError(ValueError):
    """An environment variable holds a value that its setting does not take."""


def setting(
    name: str,
    default: Scalar,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
) -> Scalar:
    """The value of `LLMREC_<name>` in the type of `default`, or `default` where it is not set.

    Raises:
        SettingError: the variable is set to another type or outside the range; it names both.
    """
    variable = PREFIX + name
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    value = _parse(variable, text, default)
    if not isinstance(value, str):
        if minimum is not None and value < minimum:
            raise SettingError(f"{variable}={text!r} must be at least {minimum:g}")
        if maximum is not None and value > maximum:
            raise SettingError(f"{variable}={text!r} must be at most {maximum:g}")
    return value


def _parse(variable: str, text: str, default: Scalar) -> Scalar:
    kind = type(default)
    if kind is bool:
        if text.lower() not in TRUE | FALSE:
            raise SettingError(f"{variable}={text!r} must be true or false")
        return kind(text.lower() in TRUE)
    try:
        return kind(text)
    except ValueError as error:
        raise SettingError(f"{variable}={text!r} must be of type {kind.__name__}") from error


def day(name: str, default: str) -> str:
    """`setting` for a day, such as 1990-01-01.

    Raises:
        SettingError: the variable is set to something else.
    """
    value = setting(name, default)
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError as error:
        raise SettingError(f"{PREFIX}{name}={value!r} must be a day such as {default}") from error


def choice(name: str, default: Choice, choices: tuple[Choice, ...]) -> Choice:
    """`setting` for one of a few words.

    Raises:
        SettingError: the variable is set to none of `choices`.
    """
    value = setting(name, str(default))
    for known in choices:
        if known == value:
            return known
    raise SettingError(f"{PREFIX}{name}={value!r} must be one of {', '.join(choices)}")


def checked(name: str, default: str, check: Callable[[str], str]) -> str:
    """`setting` for a text that `check` takes; it raises ValueError for what it does not take.

    Raises:
        SettingError: the variable is set to such a text.
    """
    value = setting(name, default)
    try:
        return check(value)
    except ValueError as error:
        raise SettingError(f"{PREFIX}{name}={value!r}: {error}") from error


def secret(name: str) -> str:
    """`LLMREC_<name>`, or what the file says that `LLMREC_<name>_FILE` names; empty without either.

    Raises:
        SettingError: both are set, or the file cannot be read or others may read it.
    """
    value, named = os.environ.get(PREFIX + name, "").strip(), f"{PREFIX}{name}_FILE"
    file = os.environ.get(named, "").strip()
    if not file:
        return value
    if value:
        raise SettingError(f"both {PREFIX}{name} and {named} are set: unset one")
    path = Path(file).expanduser()
    try:
        if path.stat().st_mode & 0o077:
            raise SettingError(f"{named}: others may read {path}: chmod 600 {path}")
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise SettingError(f"{named}: {path} cannot be read ({error})") from error
    if not value:
        raise SettingError(f"{named}: {path} is empty")
    return value
