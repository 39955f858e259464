"""Which work is chosen, by table."""

from dataclasses import replace

import pytest

from llmrec_assets.core.next_work import News, Rules, choose, wanted

HOUR, DAY = 3600.0, 86_400.0
RULES = Rules(
    cooldowns={
        "refresh_lists": 600,
        "warm_start": HOUR,
        "retrain": DAY,
        "retrain_with_encoder": 7 * DAY,
    }
)
LONG_AGO = dict.fromkeys(RULES.cooldowns, 100 * DAY)
# A shop of 100,000 events that a model knows, and lists that know them too.
QUIET = News(
    events=100_000,
    judged=100_000,
    fresh_through=100_000,
    encoder_through=100_000,
    listed=100_000,
    items=50,
    items_listed=50,
    since=LONG_AGO,
)


def ago(**seconds):
    return LONG_AGO | seconds


CASES = {
    "nothing is new": ({}, None),
    "no event yet": ({"events": 0, "judged": None, "items": 9}, None),
    "the first events": ({"judged": None, "listed": 0, "since": {}}, "retrain_with_encoder"),
    "one event": ({"events": 100_001}, "refresh_lists"),
    "one item": ({"items": 51}, "refresh_lists"),
    "lists that were never drawn": ({"listed": 0, "items_listed": 0}, "refresh_lists"),
    "too few events": ({"events": 100_999}, "refresh_lists"),
    "enough events": ({"events": 101_000}, "warm_start"),
    "enough answers": ({"events": 100_200, "answers": 200}, "warm_start"),
    "answers that are too few": ({"events": 100_199, "answers": 199}, "refresh_lists"),
    "enough events where a baseline serves": (
        {"events": 101_000, "model_serves": False},
        "retrain",
    ),
    "few events where a baseline serves": (
        {"events": 100_999, "model_serves": False},
        "refresh_lists",
    ),
    "a fifth more since the fresh start": ({"events": 121_000, "judged": 119_000}, "retrain"),
    "a fifth more, all of them known": (
        {"events": 121_000, "judged": 120_999, "listed": 120_999},
        "refresh_lists",
    ),
    "half as much again since the encoder": (
        {"events": 151_000, "judged": 149_000},
        "retrain_with_encoder",
    ),
    "the same without an encoder that was tuned": (
        {"events": 151_000, "judged": 149_000, "encoder_through": None},
        "retrain",
    ),
    "drift": ({"events": 100_010, "drifted": ("behavior_mix",)}, "retrain"),
    "drift of texts": (
        {"events": 100_010, "drifted": ("item_texts", "behavior_mix")},
        "retrain_with_encoder",
    ),
    "drift that a challenger saw": ({"drifted": ("behavior_mix",)}, None),
    "drift soon after a fresh start": (
        {"events": 100_010, "drifted": ("behavior_mix",), "since": ago(retrain=DAY - 1)},
        "warm_start",
    ),
    "drift where a baseline serves, soon after a fresh start": (
        {
            "events": 100_010,
            "drifted": ("behavior_mix",),
            "model_serves": False,
            "since": ago(retrain=DAY - 1),
        },
        "refresh_lists",
    ),
    "drift of texts soon after the encoder": (
        {
            "events": 100_010,
            "drifted": ("item_texts",),
            "since": ago(retrain_with_encoder=DAY),
        },
        "retrain",
    ),
    "events soon after a training": (
        {"events": 101_000, "since": ago(warm_start=HOUR - 1)},
        "refresh_lists",
    ),
    "events soon after lists": (
        {"events": 100_001, "since": ago(refresh_lists=599)},
        None,
    ),
    "events long enough after lists": (
        {"events": 100_001, "since": ago(refresh_lists=600)},
        "refresh_lists",
    ),
    "two failures": ({"events": 101_000, "failures": {"warm_start": 2}}, "warm_start"),
    "three failures": ({"events": 101_000, "failures": {"warm_start": 3}}, "refresh_lists"),
    "a failure just now": (
        {"events": 101_000, "retry_in": {"warm_start": 5.0}},
        "refresh_lists",
    ),
    "failures of all that is wanted": (
        {"events": 101_000, "failures": {"warm_start": 3, "refresh_lists": 3}},
        None,
    ),
}


@pytest.mark.parametrize(("changes", "work"), CASES.values(), ids=CASES)
def test_the_cheapest_work_that_is_enough_is_chosen(changes, work):
    assert choose(replace(QUIET, **changes), RULES).work == work


def test_the_first_training_goes_without_the_encoder_where_that_fails():
    first = replace(QUIET, judged=None, since={}, failures={"retrain_with_encoder": 3})
    assert choose(first, RULES).work == "retrain"


def test_a_choice_tells_its_reason_and_all_numbers():
    news = replace(
        QUIET,
        events=121_000,
        judged=119_000,
        answers=7,
        drifted=("behavior_mix",),
        since=ago(retrain=DAY - HOUR, warm_start=60),
        failures={"refresh_lists": 3},
    )
    choice = choose(news, RULES)
    assert choice.work is None
    for words in (
        "retrain waits 60 min: drift of behavior_mix",
        "warm_start waits 59 min: 2000 new events",
        "refresh_lists was given up after 3 failed runs",
        "2000 events (1000 needed) and 7 answers (200)",
        "21% more events than at the last fresh start (20%)",
        "the lists lack 21000 events and 0 items",
        "cooldown left: warm_start 59 min, retrain 60 min",
    ):
        assert words in choice.reason


def test_without_cooldowns_everything_is_done_at_once():
    news = replace(QUIET, events=101_000, since=dict.fromkeys(LONG_AGO, 0.0))
    assert choose(news, Rules()).work == "warm_start"
    assert list(wanted(news, Rules())) == ["refresh_lists", "warm_start"]
