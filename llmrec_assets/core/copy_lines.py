"""A short personal line for an item, from given facts alone: by template, and what a model may say.

`template_line` always holds. A line that a language model wrote is shown only where
`CopyChecker.fault` finds nothing; a caller falls back to the template and counts the faults.
"""

from dataclasses import dataclass

from llmrec_assets.core.plain_text import one_line
from llmrec_assets.core.sentences import DID, Language, quoted

MOST = 160  # characters of a line
PART, VERB = 40, 16  # of a category, brand or price; of a verb
_WORDS = {
    "en": {
        "did": "You {verb} {driver}: now there is {title}{of}{price}.",
        "had": "With {driver} in mind: {title}{of}{price}.",
        "plain": "For you: {title}{of}{price}.",
        "category": " in {category}",
        "brand": " by {brand}",
        "price": ", at {price}",
    },
    "zh": {
        "did": "你{verb}过{driver}，看看{title}{of}{price}。",
        "had": "由{driver}想到{title}{of}{price}。",
        "plain": "为你推荐{title}{of}{price}。",
        "category": "（{category}）",
        "brand": "，{brand}出品",
        "price": "，价格{price}",
    },
}


@dataclass(frozen=True)
class CopyFacts:
    """All that a line may say; an empty text is not known."""

    title: str
    language: Language = "en"
    category: str = ""
    brand: str = ""
    price: str = ""  # as it is shown, with its currency
    driver: str = ""  # title of the past item that speaks most for this one
    behavior: str = ""  # what the user did with it, a name of the behaviour dictionary
    word: str = ""  # that behaviour's verb in the user's language
    reviews: tuple[str, ...] = ()  # strangers' words on the item: told to a model, never repeated

    @property
    def texts(self) -> tuple[str, ...]:
        """What a line may name."""
        return (self.title, self.category, self.brand, self.price, self.driver, self.word)


def template_line(facts: CopyFacts) -> str:
    """One line of at most `MOST` characters, whatever the titles hold.

    Parts that would make it too long are left out, the price first, then brand and category: two
    titles and a verb alone are never too long.
    """
    parts = ["category", "brand", "price"]
    while len(line := _line(facts, parts)) > MOST and parts:
        parts.pop()
    return line


def _line(facts: CopyFacts, told: list[str]) -> str:
    words = _WORDS[facts.language]
    english = facts.language == "en"
    verb = DID.get(facts.behavior, "") if english else one_line(facts.word, VERB)
    kind = "plain" if not facts.driver else "did" if verb else "had"
    parts = {
        name: words[name].format(**{name: one_line(getattr(facts, name), PART)})
        for name in told
        if getattr(facts, name)
    }
    return words[kind].format(
        verb=verb,
        driver=quoted(facts.driver),
        title=quoted(facts.title),
        of=parts.get("category", "") + parts.get("brand", ""),
        price=parts.get("price", ""),
    )
