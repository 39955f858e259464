"""Numbers and amounts of money in a line of copy, against those of the facts."""

import re
import unicodedata

from llmrec_assets.core.copy_lines import CopyFacts
from llmrec_assets.core.plain_text import folded

_NUMBER = re.compile(r"\d+(?:[.:]\d+)*")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3})")
_AMOUNT = re.compile(
    r"(?:[$€£¥₩₹]|usd|eur|cny|rmb|us\$)\s*(\d[\d.,]*)"
    r"|(\d[\d.,]*)\s*(?:[$€£¥₩₹元块%％]|usd|eur|cny|rmb|dollars?|euros?|yuan|percent|折)",
    re.IGNORECASE,
)
# Written numbers would get past the digits; "one" is as often a pronoun.
_COUNTED = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty"
    r"|sixty|seventy|eighty|ninety|hundred|thousand|million|half|double)\b"
    r"|[二三四五六七八九十百千万亿两半]+(?=[元块折倍件个部年天本只台])",
    re.IGNORECASE,
)


def wrong_number(line: str, told: str, facts: CopyFacts) -> str | None:
    """An amount that is not the price, or a number that is in no fact."""
    around = folded(line)
    for title in (facts.title, facts.driver):  # an amount in a title is part of its name
        around = around.replace(folded(title), " ") if title else around
    amounts = {a or b for a, b in _AMOUNT.findall(_THOUSANDS.sub("", around))}
    if {number for amount in amounts for number in _numbers(amount)} - _numbers(facts.price):
        return "price"
    if _numbers(line) - _numbers(told):
        return "number"
    counted = {word.casefold() for word in _COUNTED.findall(line)}
    return "number" if any(word not in told for word in counted) else None


def _numbers(text: str) -> set[str]:
    """The numbers of a text in plain digits, whatever the script."""
    plain = "".join(str(unicodedata.digit(s)) if s.isdigit() else s for s in folded(text))
    return set(_NUMBER.findall(_THOUSANDS.sub("", plain)))
