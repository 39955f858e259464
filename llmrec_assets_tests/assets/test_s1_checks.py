"""What the checks of stage 1 say."""

import dagster as dg
import pytest

from llmrec_assets_tests.assets.raw_store import HEADER, RawStore


@pytest.fixture
def store(tmp_path):
    return RawStore(tmp_path)


def test_no_events_fail_the_check_and_say_where_to_put_them(store):
    metadata, checks = store.run()
    assert metadata["raw_events"]["max_seq"] == 0
    check = checks["raw_events_exist"]
    assert not check.passed
    assert str(store.landing.folder("events")) in check.description


def test_mixed_kinds_of_time_are_warned_of(store):
    store.put("a.csv", HEADER + "u,i,1,browse\n")
    store.put("b.csv", HEADER + "u,i,2024-01-01,browse\n")
    _, checks = store.run()
    check = checks["time_is_of_one_kind"]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN


def test_a_file_that_is_unlike_those_before_is_warned_of(store):
    for day in range(1, 5):
        rows = "".join(f"u{n},i{n % 5},2025-01-0{day}T0{n % 9}:00:00Z,buy,{n}\n" for n in range(20))
        store.put(f"day{day}.csv", HEADER.strip() + ",rating\n" + rows)
        _, checks = store.run()
        assert checks["newest_file_is_as_usual"].passed
    rows = "".join(f"u{n},new{n},2025-01-05T0{n % 9}:00:00Z,buy\n" for n in range(20))
    store.put("day5.csv", HEADER + rows)
    _, checks = store.run()
    check = checks["newest_file_is_as_usual"]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert check.description == (
        "day5.csv: 0% of its events have rating; usual are 100%;"
        " 0% of its items were known before; usual are 100%."
    )
