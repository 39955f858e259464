"""Free text without e-mail addresses, phone numbers and card numbers.

Phone numbers are told by Google's rules (phonenumbers): with a country code those of every
country, without one those of the regions asked for. Digits alone, which may be an order or an
article, are a number only where a region has mobile numbers of their own, as China does.
"""

import re
from collections.abc import Iterable, Sequence

# In RE2 and Python alike: what is worth a closer look, an address or seven digits near each other.
SUSPECT = r"[@＠]|([0-9０-９][^0-9０-９]{0,3}){6}[0-9０-９]"
REGIONS = "CN,US"
_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}[@＠][A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}"
)
_DIGITS = re.compile(r"(?<![0-9.,])[0-9](?:[ -]?[0-9]){13,18}(?![0-9]|[.,][0-9])")
# Of Visa, Mastercard, American Express, Discover, Diners Club, JCB and UnionPay.
_ISSUED = re.compile(
    r"4\d{15}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|6(?:011|4[4-9]\d|5\d\d)\d{12}|3(?:0[0-5]|[68]\d)\d{11}|35\d{14}|62\d{14,17}"
)


def regions_of(text: str) -> tuple[str, ...]:
    """The regions that a setting names, such as CN,US.

    Raises:
        ValueError: one of them is none.
    """
    from phonenumbers import SUPPORTED_REGIONS

    found = tuple(part.strip().upper() for part in text.split(",") if part.strip())
    for region in found:
        if region not in SUPPORTED_REGIONS:
            raise ValueError(f"{region!r} is no region: two letters, such as CN or US")
    return found


def scrub(text: str, regions: Sequence[str]) -> str:
    """The text with [e-mail], [card] and [phone] in place of such."""
    text = _ADDRESS.sub("[e-mail]", text)
    text = _DIGITS.sub(lambda found: "[card]" if _is_card(found[0]) else found[0], text)
    return _without_phones(text, regions)


def scrub_all(texts: Iterable[str | None], regions: Sequence[str]) -> list[str | None]:
    """`scrub` of many; of None None."""
    return [None if text is None else scrub(text, regions) for text in texts]


def _is_card(written: str) -> bool:
    from stdnum import luhn

    digits = re.sub(r"[ -]", "", written)
    return _ISSUED.fullmatch(digits) is not None and luhn.is_valid(digits)


def _without_phones(text: str, regions: Sequence[str]) -> str:
    from phonenumbers import Leniency, PhoneNumberMatcher

    for region in regions or ("ZZ",):
        found = [m for m in PhoneNumberMatcher(text, region, Leniency.VALID) if _is_phone(m)]
        for match in reversed(found):
            text = f"{text[: match.start]}[phone]{text[match.end :]}"
    return text


def _is_phone(match: object) -> bool:
    """Whether a valid number was meant as one: digits alone only where they are a mobile's."""
    from phonenumbers import PhoneNumberMatch, PhoneNumberType, number_type

    assert isinstance(match, PhoneNumberMatch)
    if not match.raw_string.isdigit():
        return True
    return number_type(match.number) == PhoneNumberType.MOBILE
