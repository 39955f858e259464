import numpy as np
import pandas as pd
import pytest

from llmrec_assets.core.arrivals import LEAST_FILES, unusual

USUAL = {
    "name": "day.csv", "events": 1000.0, "lag_hours": 2.0, "has_rating": 0.9, "has_text": 0.1,
    "users_known": 0.8, "items_known": 0.95,
}  # fmt: skip


def files(**newest):
    return pd.DataFrame([{**USUAL, **newest}, *[USUAL] * LEAST_FILES])


@pytest.mark.parametrize(
    ("newest", "said"),
    [
        ({"events": 150.0}, "150 events; usual are 1000"),
        ({"events": 6000.0}, "6000 events"),
        ({"has_rating": 0.0}, "0% of its events have rating; usual are 90%"),
        ({"items_known": 0.1}, "10% of its items were known before; usual are 95%"),
        ({"users_known": 0.0}, "0% of its users were known before"),
        ({"lag_hours": 50.0}, "its newest event is 50 hours old; usual are 2"),
    ],
)
def test_what_is_odd_is_said_in_words(newest, said):
    (found,) = unusual(files(**newest))
    assert found.startswith(said)


@pytest.mark.parametrize(
    "newest",
    [
        {},
        {"events": 400.0, "lag_hours": 25.0, "users_known": 0.5},
        {"has_text": 0.0},  # few had one before
        {"lag_hours": np.nan},  # relative time
    ],
)
def test_what_varies_as_days_do_is_not_odd(newest):
    assert unusual(files(**newest)) == []


def test_nothing_is_usual_before_there_are_files():
    assert unusual(files(events=1.0).iloc[:LEAST_FILES]) == []
