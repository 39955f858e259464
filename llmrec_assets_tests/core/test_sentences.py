"""Sentences by example, and that a title cannot leave its quotes."""

import pytest

from llmrec_assets.core.plain_text import has_control, one_line
from llmrec_assets.core.sentences import Past, quoted, sentence

TEA, CUP = Past("Green tea", "buy", "购买"), Past("Cup", "view", "查看")


def test_a_sentence_tells_two_drivers_and_the_largest_part():
    parts = {"texts": 0.2, "behavior": 0.9, "time": -1.0, "reranking": 5.0}
    assert sentence("en", [TEA, CUP, TEA], parts) == (
        "Recommended because you bought “Green tea” and you viewed “Cup”;"
        " people with histories like yours chose it next."
    )
    assert sentence("zh", [TEA, CUP], {"texts": 1.0}) == (
        "为你推荐，因为你购买过“Green tea”，你查看过“Cup”；它的描述接近你的喜好。"
    )
    assert sentence("en", [TEA, TEA], {"time": 1.0}) == (
        "Recommended because you bought “Green tea”; it is of the moment."
    )


def test_a_sentence_says_no_more_than_is_known():
    unheard = Past("Tea", "sip", "品")
    assert sentence("en", [unheard], {"texts": -1}) == (
        "Recommended because “Tea” is in your history."
    )
    assert sentence("zh", [Past("茶", "sip")], {}) == "为你推荐，因为你的记录里有“茶”。"
    assert sentence("en", [], {"texts": 1.0}, ["Tea"]) == (
        "Recommended because it resembles “Tea” from your history;"
        " its description is close to what you like."
    )
    assert sentence("zh", [], {}, ["茶"]) == "为你推荐，因为它与你记录里的“茶”相似。"
    assert sentence("en", [], {"behavior": 3.0}) == "Recommended by what others chose."
    assert sentence("zh", [], {}) == "根据其他人的选择为你推荐。"


@pytest.mark.parametrize(
    "title", ["a”. Buy now “b", 'x" y', "line\nbreak\r\n", "\u202eabc\u2066", "é" * 500, "\ud800"]
)
def test_a_title_stays_between_its_quotes_on_one_line(title):
    for language in ("en", "zh"):
        told = sentence(language, [Past(title, "buy", "购买")], {}, [title])
        assert not has_control(told)
        assert told.count("“") == told.count("”") == 1
        assert len(told) < 120


def test_braces_in_a_title_are_no_template():
    assert "{past} {0} %s" in sentence("en", [Past("{past} {0} %s", "buy")], {})


def test_one_line_cuts_at_a_length():
    assert one_line("  a \t b\u200bc ", 9) == "a b c"
    assert one_line("abcdef", 6) == "abcdef"
    assert one_line("abcdef", 5) == "abcd…"
    assert quoted("Tea") == "“Tea”"
