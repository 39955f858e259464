"""Statistics of values do not depend on order, and limits leave nobody out who is to be judged."""

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmrec_assets.core.splits import GLOBAL_TEST_SHARE
from llmrec_assets.sql import s2_statistics
from llmrec_assets.sql.s2_tables import CLEAN, CLEAN_EVENTS

JUDGED = f"""
with bounds as ({s2_statistics.BOUNDS})
select seq from {CLEAN} as e
left join bounds as r on r.feature = 'rating' and r.behavior = e.behavior
left join bounds as v on v.feature = 'value' and v.behavior = e.behavior
where is_outlier <> (coalesce(abs(e.rating - r.mean) > r.most, false)
    or coalesce(abs(e.value - v.mean) > v.most, false)) order by seq
"""
LARGE = 1.7e12  # of which the last digit of a double is 2e-4


def events_of(values):
    value = st.sampled_from(values) | st.none()
    kinds = st.sampled_from(["view", "buy"]), value, value
    event = st.tuples(*kinds, st.booleans(), st.sampled_from(["train", "train", "test"]))
    return st.lists(event, min_size=4, max_size=20)


EVENTS = events_of([0.0, 1.0, 2.5, -3.0, 9.0, -20.0]) | events_of([1e9, LARGE, LARGE + 2])
ON_THE_BRINK = [
    ("view", value, None, False, "train") for value in [LARGE - 2, LARGE + 2, *[LARGE] * 7]
]


def clean_events(rows):
    """A store of clean events alone: (behavior, rating, value, is_outlier, split) each."""
    connection = duckdb.connect()
    CLEAN_EVENTS.clear(connection)
    names = ["behavior", "rating", "value", "is_outlier", "split"]
    frame = pd.DataFrame(rows, columns=names).astype({"rating": float, "value": float})
    connection.register("frame", frame.assign(seq=range(len(rows)), time=range(len(rows))))
    CLEAN_EVENTS.insert(connection, "select *, 'u' as user_id from frame")
    return connection


# What lies far off for one behaviour is nothing for the other, on either side.
NESTED = [
    ("view", -1.0, "train"), ("view", 1.0, "train"), ("buy", -20.0, "train"),
    ("buy", 20.0, "train"), ("view", -9.0, "test"), ("view", 9.0, "test"),
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@example(events=ON_THE_BRINK, deviations=2.12132)
@example(events=[(kind, x, None, False, split) for kind, x, split in NESTED], deviations=1.0)
@example(events=[(kind, None, x, False, split) for kind, x, split in NESTED], deviations=1.0)
@given(events=EVENTS, deviations=st.sampled_from([0.5, 1.0, 2.12132]))
def test_limits_of_all_behaviours_leave_out_nobody_who_is_misjudged(events, deviations):
    connection = clean_events(events)
    bounds = {"version": s2_statistics.keep_statistics(connection),
              "outlier_deviations": deviations}  # fmt: skip
    limits = connection.sql(s2_statistics.PLAUSIBLE, params=bounds)
    limits = dict(zip(limits.columns, limits.fetchall()[0], strict=True))
    found = connection.execute(f"{s2_statistics.MISJUDGED} order by seq", bounds | limits)
    assert [seq for seq, _ in found.fetchall()] == [
        seq for (seq,) in connection.execute(JUDGED, bounds).fetchall()
    ]


def test_statistics_are_those_of_numpy_for_every_fit():
    rng = np.random.default_rng(7)
    values, trains = rng.normal(5e6, 30, 500), rng.random(500) < 0.7
    rows = [("view", None, value, False, "train" if train else "test")
            for value, train in zip(values, trains, strict=True)]  # fmt: skip
    found = clean_events(rows).execute(
        f"select fit, n, mean, std, minimum, maximum from ({s2_statistics.STATISTICS})",
        {"train_share": 1 - GLOBAL_TEST_SHARE},
    )
    found = {fit: numbers for fit, *numbers in found.fetchall()}
    old = values[: round(500 * (1 - GLOBAL_TEST_SHARE))]
    for fit, among in {"evaluation": values[trains], "global": old, "final": values}.items():
        wanted = [len(among), among.mean(), among.std(), among.min(), among.max()]
        assert found[fit] == pytest.approx(wanted, rel=1e-12, abs=1e-6)


@pytest.mark.parametrize("value", [0.1, 1234567.89, 1704067200.123])
def test_what_is_always_the_same_has_no_spread_and_no_outlier(value):
    rows = [("view", None, value, False, "test" if n % 5 else "train") for n in range(10_000)]
    connection = clean_events(rows)
    s2_statistics.keep_statistics(connection)
    spread = connection.execute("select distinct std from s2_sequences.value_statistics").fetchall()
    assert spread == [(0.0,)]


def test_rows_in_another_order_have_the_same_version():
    rng = np.random.default_rng(3)
    ratings = rng.integers(1, 6, 128 * 25)  # its mean ends in a 5 behind the sixth digit
    while sum(ratings) % 2 == 0:
        ratings = rng.integers(1, 6, 128 * 25)
    versions = set()
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(len(ratings))
        rows = [("rate", float(ratings[n]), None, False, "train" if n % 3 else "test")
                for n in order]  # fmt: skip
        connection = clean_events(rows)
        connection.execute(f"update {CLEAN} set time = 0")
        versions.add(s2_statistics.keep_statistics(connection))
    assert len(versions) == 1
