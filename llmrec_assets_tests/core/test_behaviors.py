import pytest
from pydantic import ValidationError

from llmrec_assets.core.behaviors import (
    DEFAULT_BEHAVIORS,
    Behavior,
    BehaviorDictionaryError,
    hiding,
    load_behaviors,
    names,
    word,
)


@pytest.mark.parametrize("text", [None, "", "  \n", "{}"])
def test_no_dictionary_gives_the_defaults(text):
    assert load_behaviors(text) == DEFAULT_BEHAVIORS


def test_the_defaults_speak_both_languages_and_know_what_is_negative():
    assert all({"en", "zh"} <= set(entry.words) for entry in DEFAULT_BEHAVIORS.values())
    negative = {name for name, entry in DEFAULT_BEHAVIORS.items() if not entry.positive}
    assert {"skip", "dislike", "not_interested", "unlike", "return"} <= negative
    assert not negative & {"browse", "view", "click", "cart", "favorite", "buy", "purchase"}
    assert "impression" not in DEFAULT_BEHAVIORS


def test_an_entry_changes_only_what_it_gives():
    loaded = load_behaviors('{"buy": {"weight": 3, "words": {"zh": "下单"}}}')
    expected = {"words": {"en": "buy", "zh": "下单"}, "weight": 3, "role": "conversion"}
    assert loaded["buy"] == Behavior(**expected)
    assert loaded["click"] == DEFAULT_BEHAVIORS["click"]
    assert DEFAULT_BEHAVIORS["buy"].words["zh"] == "购买"


def test_a_new_behaviour_starts_plain():
    assert load_behaviors('{"拼团": {}}')["拼团"] == Behavior(words={}, weight=1.0, positive=True)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('{"buy": {"weight": 0}}', ["'buy'", "'weight'", "number above 0"]),
        ('{"buy": {"weight": NaN}}', ["'buy'", "'weight'", "number above 0"]),
        ('{"buy": {"weight": true}}', ["'buy'", "'weight'", "number above 0"]),
        ('{"buy": {"weight": "2"}}', ["'buy'", "'weight'", "number above 0"]),
        ('{"buy": {"positive": "no"}}', ["'buy'", "'positive'", "true or false"]),
        ('{"buy": {"words": {"zh": 3}}}', ["'buy'", "'words.zh'", "language to verb"]),
        ('{"buy": {"wieght": 2}}', ["'buy'", "'wieght'", "words, weight, positive"]),
        ('{"buy": {"role": "sale"}}', ["'buy'", "'role'", "conversion"]),
        ('{"rate": {"value": "stars"}}', ["'rate'", "'value'", "seconds"]),
        ('{"skip": {"hides": 1}}', ["'skip'", "'hides'", "true or false"]),
        ('{"buy": 2}', ["'buy'", '{"weight": 2}']),
        ('{"impression": {"weight": 2}}', ["'impression'", "take this entry out"]),
        ('["buy"]', ["one JSON object"]),
        ('{"buy": {"weight": 2},}', ["not JSON", "line 1"]),
    ],
)
def test_a_broken_dictionary_says_where_and_how_to_mend_it(text, parts):
    with pytest.raises(BehaviorDictionaryError) as caught:
        load_behaviors(text)
    assert all(part in str(caught.value) for part in parts), str(caught.value)


def test_words_fall_back_to_english_and_then_to_the_name():
    assert word("buy", "zh") == "购买"
    assert word("buy", "en") == "buy"
    assert word("buy", "fr") == "buy"
    assert word("拼团", "zh") == "拼团"
    assert word("wish", "zh", {"wish": Behavior(words={"zh": "许愿"})}) == "许愿"


def test_a_behaviour_is_known_by_its_name_and_by_its_words():
    known = names(load_behaviors('{"wish": {"words": {"zh": "许愿"}}, "skip": {"hides": true}}'))
    for said in ("wish", "许愿"):
        assert known[said] == "wish"
    assert (known["不感兴趣"], known["add to cart"]) == ("not_interested", "cart")
    assert (known["购买"], known["purchase"]) == ("buy", "purchase")
    assert (known["impression"], known["曝光"]) == ("impression", "impression")
    assert "wave" not in known


def test_what_hides_an_item_is_in_the_dictionary():
    assert hiding() == ["dislike", "not_interested"]
    assert hiding(load_behaviors('{"skip": {"hides": true}, "dislike": {"hides": false}}')) == [
        "not_interested",
        "skip",
    ]


def test_behaviours_cannot_be_changed():
    with pytest.raises(ValidationError):
        DEFAULT_BEHAVIORS["buy"].weight = 5.0  # pyright: ignore
