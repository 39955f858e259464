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


def test_a_file_of_items_that_is_unlike_those_before_is_warned_of(store):
    def items(first, count, colour="red"):
        return "item_id,title,colour\n" + "".join(
            f"i{first + n},T,{colour}\n" for n in range(count)
        )

    store.put("a.csv", HEADER + "u,i1,1,buy\n")
    for day in range(1, 5):
        store.put(f"day{day}.csv", items(day, 20), "items")
        assert store.run()[1]["newest_items_are_as_usual"].passed
    store.put("day5.csv", items(500, 120, ""), "items")
    check = store.run()[1]["newest_items_are_as_usual"]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert check.description == (
        "day5.csv: 120 items; usual are 20;"
        " 0% of its items were known before; usual are 95%;"
        " 0% of its items have colour; usual are 100%."
    )


def test_items_that_are_not_those_of_the_events_are_warned_of(store):
    store.put("a.csv", HEADER + "u,1,1,buy\nu,2,1,buy\n")
    assert store.run()[1]["items_of_events_are_described"].passed, "no file of items is no fault"
    store.put("items.csv", "item_id,title\nsku-1,A\nsku-2,B\n", "items")
    check = store.run()[1]["items_of_events_are_described"]
    assert not check.passed
    assert check.metadata["described_share"].value == 0.0
    store.put("more.csv", "item_id,title\n1,A\n", "items")
    assert store.run()[1]["items_of_events_are_described"].passed
