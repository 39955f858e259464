"""Whether a line that a language model wrote says nothing but the facts.

Numbers, amounts, quoted names, proper names, and any title or brand of the catalogue must be among
the facts. The rules are strict, because a rejected line costs nothing: the template stands in for
it. What they cannot see is a claim in plain words, such as that something is waterproof.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator

from llmrec_assets.core.copy_lines import MOST, CopyFacts
from llmrec_assets.core.copy_numbers import wrong_number
from llmrec_assets.core.plain_text import folded, has_control

_QUOTED = re.compile(r"[“\"「『《〈](.+?)[”\"」』》〉]")
_SIGNS = "぀-ヿ㐀-鿿豈-﫿"  # of scripts without spaces between words
_WORD = re.compile(rf"[^\W\d_{_SIGNS}]+(?:['’][^\W\d_{_SIGNS}]+)*")
_TOKEN = re.compile(rf"[{_SIGNS}]|[^\W_{_SIGNS}]+")
_LINK = re.compile(r"://|www\.|@|[<>{}\[\]`|\\]|\b[\w-]+\.(?:com|net|org|cn|io|ru|shop|top)\b")
_YEAR = re.compile(r"\s*\([^()]*\)\s*$")
_SENTENCE = re.compile(r"[.!?:;…。！？：；]\s*$|^\s*$|[“\"‘'(—–-]\s*$")
# With a capital at the beginning of a sentence these are no title, although titles are so called.
_EVERYDAY = {
    "a", "about", "after", "all", "an", "and", "as", "at", "because", "before", "can", "do",
    "enjoy", "find", "for", "from", "get", "give", "go", "have", "he", "here", "how", "i",
    "if", "in", "is", "it", "it's", "just", "let", "like", "look", "love", "more", "new",
    "next", "no", "not", "now", "of", "on", "one", "or", "our", "out", "see", "she", "since",
    "so", "some", "take", "that", "the", "then", "there", "these", "they", "this", "to",
    "today", "try", "up", "us", "want", "we", "what", "when", "where", "who", "why", "with",
    "you", "you'll", "you're", "your",
}  # fmt: skip


class CopyChecker:
    """Knows the names of the catalogue, so that a line cannot name another item or brand."""

    def __init__(self, titles: Iterable[str], brands: Iterable[str] = ()) -> None:
        """Read all titles and brands; a title is also known without a last part in brackets.

        A name of one Latin word may be an everyday one. If it is a brand it counts all the same, a
        title counts where it has a capital.
        """
        brands = set(brands)
        self.brands = {folded(brand).strip() for brand in brands}
        self.names: dict[str, set[str]] = {}  # first word, or sign of a script without spaces
        for name in {*titles, *brands}:
            for form in {folded(name), folded(_YEAR.sub("", name))}:
                if words := _tokens(form):
                    self.names.setdefault(words[0], set()).add("\x1f".join(words))
        self.longest = max(
            (name.count("\x1f") + 1 for names in self.names.values() for name in names), default=0
        )

    def fault(self, line: str, facts: CopyFacts, most: int = MOST) -> str | None:
        """Why a line may not be shown, in one word; None where it may.

        Returns:
            `empty`, `long`, `control`, `link`, `price`, `number`, `quote`, `item` (or brand) or
            `name`.
        """
        if not line.strip():
            return "empty"
        if len(line) > most:
            return "long"
        if has_control(line):
            return "control"
        told = folded("\n".join(facts.texts))
        plain = unicodedata.normalize("NFKC", line)
        if any(link not in told for link in _LINK.findall(plain.casefold())):
            return "link"
        return wrong_number(plain, told, facts) or self._wrong_name(plain, told, facts)

    def _wrong_name(self, line: str, told: str, facts: CopyFacts) -> str | None:
        """A name that is not among the facts."""
        if any(folded(name).strip() not in told for name in _QUOTED.findall(line)):
            return "quote"
        own = [_tokens(folded(text)) for text in facts.texts]
        if any(not _within(name, own) for name in self._named(line)):
            return "item"
        words = {word for words in own for word in words}
        if any(word not in words for word in _proper_names(line, facts.language == "zh")):
            return "name"
        return None

    def _named(self, line: str) -> Iterator[list[str]]:
        """Names of the catalogue in the line, as words."""
        tokens = _tokens(folded(line))
        capital = {folded(word) for word in _WORD.findall(line) if word[0].isupper()}
        for start, first in enumerate(tokens):
            for length in range(1, min(self.longest, len(tokens) - start) + 1):
                name = tokens[start : start + length]
                if "\x1f".join(name) not in self.names.get(first, ()):
                    continue
                if length > 1 or first in self.brands or first in capital - _EVERYDAY:
                    yield name


def _proper_names(line: str, foreign: bool) -> Iterator[str]:
    """Words with a capital within a sentence, folded; with `foreign` every Latin one has its say.

    In English the first word of a sentence and "I" have a capital anyhow. In a Chinese line
    (`foreign`) a Latin word is a name wherever it stands.
    """
    for match in _WORD.finditer(line):
        word = match.group()
        if not word[0].isascii() or not word[0].isalpha():
            continue
        begins = _SENTENCE.search(line[: match.start()]) is not None
        if foreign or (word[0].isupper() and not begins and word.split("'")[0] != "I"):
            yield folded(word)


def _within(name: list[str], texts: list[list[str]]) -> bool:
    """Whether the words of a name stand together in one of the texts."""
    n = len(name)
    return any(
        name == text[start : start + n] for text in texts for start in range(len(text) - n + 1)
    )


def _tokens(text: str) -> list[str]:
    """Words and numbers; each sign of a script without spaces is one of its own."""
    return _TOKEN.findall(text)
