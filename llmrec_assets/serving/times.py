"""Times as clients write them, and as the pipeline reads them.

A file of the landing zone has one kind of times. So whatever form a client uses, one is written.
"""

from datetime import UTC, datetime

# As the pipeline tells them: an epoch is known from a step, and its unit, by its size.
_UNITS = ((1e11, 1_000_000), (1e14, 1_000), (1e17, 1))  # below → microseconds of one
_FIRST_EPOCH = 1e8
_DAY = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_STEP = 2**53


class BadTime(ValueError):
    """A time that the pipeline would not take; the message says what to send."""


def now_micros() -> int:
    """The time, in microseconds since 1970."""
    return micros_of(datetime.now(UTC))


def micros_of(moment: datetime) -> int:
    """Microseconds since 1970 of a time; one without a zone is UTC, as in landing files."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def parse(value: str | int | float, relative: bool, earliest: int = 0) -> int:
    """Microseconds UTC, or the step where the store's times are relative.

    Args:
        value: ISO-8601, an epoch in seconds, milliseconds or microseconds, or a step.
        relative: whether the published histories have steps instead of times.
        earliest: microseconds; what is before is impossible.

    Raises:
        BadTime: another form, another kind than the store's, or an impossible time.
    """
    number = _number(value)
    if relative:
        if number is None or number != int(number) or not 0 <= number < _MOST_STEP:
            raise BadTime("has to be a whole step from 0, as the store's times are relative")
        return int(number)
    micros = _from_text(str(value)) if number is None else _from_epoch(number)
    if micros < earliest:
        raise BadTime("is before the earliest time that the store takes")
    if micros > now_micros() + _DAY:
        raise BadTime("is more than a day in the future")
    return micros


def written(time: int, relative: bool) -> str | int:
    """The one form in which times go to the landing zone: ISO-8601 in UTC, or the step."""
    if relative:
        return time
    seconds, micros = divmod(time, 1_000_000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{micros:06d}Z"


def _number(value: str | int | float) -> float | None:
    if isinstance(value, int | float):
        return value
    return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None


def _from_epoch(number: float) -> int:
    if number < _FIRST_EPOCH:
        raise BadTime("is a step or an epoch before 1973, but the store's times are absolute")
    for below, factor in _UNITS:
        if number < below:
            return int(number * factor)
    raise BadTime("is an epoch too far in the future")


def _from_text(text: str) -> int:
    try:
        return micros_of(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        raise BadTime("has to be ISO-8601, such as 2026-01-31T18:30:00Z, or an epoch") from error
