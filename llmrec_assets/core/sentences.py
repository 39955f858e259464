"""Why an item is recommended, in one sentence of the user's language, from facts alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from llmrec_assets.core.plain_text import one_line

Language = Literal["en", "zh"]
TITLE = 60  # most characters of a title
DID = {  # English past of the behaviours that are named by a verb; others are told without one
    "browse": "browsed", "view": "viewed", "click": "clicked", "dwell": "spent time on",
    "search": "searched for", "cart": "put in your cart", "favorite": "favorited",
    "buy": "bought", "purchase": "bought", "rate": "rated", "review": "reviewed",
    "like": "liked", "comment": "commented on", "share": "shared", "follow": "followed",
    "read": "read", "play": "played", "listen": "listened to", "watch": "watched",
    "download": "downloaded", "skip": "skipped",
}  # fmt: skip
WORDS: dict[str, dict[str, str]] = {
    "en": {
        "because": "Recommended because {past}",
        "did": "you {verb} {title}",
        "had": "{title} is in your history",
        "and": " and ",
        "nearest": "Recommended because it resembles {title} from your history",
        "nothing": "Recommended by what others chose",
        "texts": "; its description is close to what you like",
        "behavior": "; people with histories like yours chose it next",
        "time": "; it is of the moment",
        "end": ".",
    },
    "zh": {
        "because": "为你推荐，因为{past}",
        "did": "你{verb}过{title}",
        "had": "你的记录里有{title}",
        "and": "，",
        "nearest": "为你推荐，因为它与你记录里的{title}相似",
        "nothing": "根据其他人的选择为你推荐",
        "texts": "；它的描述接近你的喜好",
        "behavior": "；与你经历相似的人接着选择了它",
        "time": "；它正当时",
        "end": "。",
    },
}


@dataclass(frozen=True)
class Past:
    """An event as a sentence tells it."""

    title: str
    behavior: str  # its name
    word: str = ""  # the verb of the behaviour dictionary, where the language conjugates none


def sentence(
    language: Language,
    drivers: Sequence[Past],
    parts: Mapping[str, float],
    nearest: Sequence[str] = (),
) -> str:
    """One sentence from what is given.

    Args:
        language: of the user.
        drivers: the events that speak for the item, strongest first; two are told.
        parts: shares of `texts`, `behavior` and `time` as of `contributions.grouped`; the largest
            above 0 is told where there is a driver or a near item.
        nearest: titles of the most similar past items, told where there is no driver.
    """
    words = WORDS[language]
    if drivers:
        past = list(dict.fromkeys(_told(language, driver) for driver in drivers[:2]))
        begun = words["because"].format(past=words["and"].join(past))
    elif nearest:
        begun = words["nearest"].format(title=quoted(nearest[0]))
    else:
        return words["nothing"] + words["end"]
    told = {name: parts.get(name, 0.0) for name in ("texts", "behavior", "time")}
    main = max(told, key=lambda name: told[name])
    return begun + (words[main] if told[main] > 0 else "") + words["end"]


def quoted(title: str) -> str:
    """A stranger's title between quotes that it cannot end."""
    return f"“{one_line(title, TITLE)}”"


def _told(language: Language, past: Past) -> str:
    verb = DID.get(past.behavior) if language == "en" else one_line(past.word, TITLE)
    words = WORDS[language]
    if not verb:
        return words["had"].format(title=quoted(past.title))
    return words["did"].format(verb=verb, title=quoted(past.title))
