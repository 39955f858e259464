"""Causes of responses, and what returns of them, through the assets of stages 1, 2 and 7.

The lists are written as stage 6 keeps them, so that nothing has to be trained.
"""

import json
from datetime import UTC, datetime, timedelta

import dagster as dg
import pandas as pd
import pytest
from pydantic import ValidationError

from llmrec_assets.assets import s1_raw_events, s2_sequences, s7_feedback
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.sql import s2_tables
from llmrec_assets.sql.s4_tables import ITEMS
from llmrec_assets.sql.s6_recommendations import RECOMMENDATIONS
from llmrec_assets.sql.s7_returns import return_events
from llmrec_assets.sql.tables import Column, Table

NOON = datetime(2026, 3, 1, 12)
HOUR = timedelta(hours=1)
EARLIER = {
    "event_id": "e0",
    "user_id": "u",
    "item_id": "z",
    "timestamp": NOON - 9 * HOUR,
    "behavior": "click",
}
CAUSES = "select event_id, caused_by from {} order by event_id"


class Loop:
    """A root with hand-made lists, and runs of the stages that need no model."""

    def __init__(self, root) -> None:
        self.root, self.resources, self.files = root, resources_of(root), 0
        with self.resources["warehouse"].connect() as connection:
            RECOMMENDATIONS.create(connection)
            ITEMS.create(connection)

    def show(self, list_id, at, items="ab", user="u", version="m1") -> None:
        """A list of `items` for the user, made at a time."""
        rows = pd.DataFrame(
            {
                "list_id": list_id,
                "user_id": user,
                "rank": range(1, len(items) + 1),
                "item_id": list(items),
                "propensity": [1.0] * (len(items) - 1) + [0.25],
                "model_version": version,
                "generated_at": at,
            }
        )
        with self.resources["warehouse"].connect() as connection:
            connection.register("rows", rows)
            connection.execute(f"insert into {RECOMMENDATIONS.full_name} by name from rows")

    def put(self, kind, *rows, name=None) -> None:
        self.files += 1
        path = getattr(self.root, f"landing_{kind}") / (name or f"{self.files}.jsonl")
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(json.dumps(row, default=str) for row in rows), encoding="utf-8")

    def respond(self, *rows, **options) -> None:
        """Responses of user u to item a at noon, but for what is given."""
        usual = {"user_id": "u", "item_id": "a", "timestamp": NOON, "response": "click"}
        self.put("feedback", *(usual | row for row in rows), **options)

    def collect(self, **config):
        """Materialise feedback; its metadata."""
        return self._run("feedback", [s7_feedback.feedback], config)

    def ingest(self):
        return self._run("raw_events", [s1_raw_events.raw_events], {})

    def clean(self, **config):
        return self._run("clean_events", [s2_sequences.clean_events], config)

    def read(self, query) -> pd.DataFrame:
        return self.resources["warehouse"].read(query)

    def feedback(self, columns) -> list[tuple]:
        rows = self.read(f"select {columns} from s7_feedback.feedback order by feedback_id")
        return list(
            rows.astype(object).where(rows.notna(), None).itertuples(index=False, name=None)
        )

    def events(self, table="s1_raw_events.raw_events") -> dict[str, str | None]:
        rows = self.read(CAUSES.format(table))
        return dict(
            zip(rows["event_id"], rows["caused_by"].replace({float("nan"): None}), strict=True)
        )

    def _run(self, name, assets, config):
        result = dg.materialize(
            assets,
            resources=self.resources,
            run_config={"ops": {name: {"config": config}}} if config else {},
        )
        (found,) = result.asset_materializations_for_node(name)
        return {key: entry.value for key, entry in found.metadata.items()}


@pytest.fixture
def loop(root):
    made = Loop(root)
    made.put("events", EARLIER)
    made.ingest()
    return made


def test_each_kind_of_response_says_for_or_against_its_item(loop):
    said = {
        "f01": ("impression", None, None),
        "f02": ("dwell", 4.9, False),
        "f03": ("dwell", 5, True),
        "f04": ("rate", 2.9, False),
        "f05": ("rate", 3, True),
        "f06": ("cart", None, True),
        "f07": ("dislike", None, False),
        "f08": ("不感兴趣", None, False),
        "f09": ("Add To Cart", None, True),
        "f10": ("wave", None, None),
    }
    loop.respond(*(
        {"feedback_id": name, "response": response, "value": value}
        for name, (response, value, _) in said.items()
    ))  # fmt: skip
    found = loop.collect()
    assert [positive for _, positive in loop.feedback("feedback_id, positive")] == [
        positive for _, _, positive in said.values()
    ]
    assert [r for (r,) in loop.feedback("response")][-3:] == ["not_interested", "cart", "wave"]
    loop.ingest()
    events = loop.read(
        "select behavior, rating, value from s1_raw_events.raw_events where event_id <> 'e0'"
        " order by event_id"
    )
    assert events["behavior"].tolist() == [
        "dwell",
        "rate",
        "cart",
        "dislike",
        "not_interested",
        "cart",
    ]
    assert events["value"].dropna().tolist() == [5]
    assert events["rating"].dropna().tolist() == [3]
    loop.clean()
    targets = loop.read("select behavior, positive from s2_sequences.clean_events where positive")
    assert set(targets["behavior"]) == {"click", "dwell", "rate", "cart"}
    assert found["returned_events"] == 6


def test_the_thresholds_are_settings(loop):
    loop.respond(
        {"feedback_id": "f1", "response": "read", "value": 20},
        {"feedback_id": "f2", "response": "rate", "value": 5},
        {"feedback_id": "f3", "response": "rate", "value": 11},
    )
    found = loop.collect(dwell_seconds=30, lowest_rating=0, highest_rating=10)
    assert loop.feedback("positive") == [(False,), (True,), (True,)]
    assert found["ratings_off_scale"] == 1
    with pytest.raises(ValidationError, match="below highest_rating"):
        s7_feedback.FeedbackConfig(lowest_rating=5, highest_rating=5)


def test_the_cause_is_found_by_the_time_of_the_response_not_of_its_arrival(loop):
    loop.show("old", NOON - HOUR)
    loop.show("new", NOON + HOUR, version="m2")
    loop.respond(
        {"feedback_id": "f1"},
        {"feedback_id": "f2", "timestamp": NOON + 2 * HOUR},
        {"feedback_id": "f3", "timestamp": NOON - 2 * HOUR},
        {"feedback_id": "f4", "timestamp": NOON + 9 * 24 * HOUR},
        {"feedback_id": "f5", "item_id": "y"},
    )
    found = loop.collect()
    assert loop.feedback("attribution, caused_by, model_version, rank") == [
        ("last_touch", "old", "m1", 1),
        ("last_touch", "new", "m2", 1),
        *[("none", None, None, None)] * 3,
    ]
    assert found["late_responses"] == 1  # f1: the user had a newer list when it came in
    assert found["out_of_order_responses"] == 2  # f3 after f2, f5 after f4


def test_a_response_that_comes_before_its_list_is_joined_to_it_later(loop):
    loop.respond({"feedback_id": "f1", "list_id": "l1", "response": "buy"}, {"feedback_id": "f2"})
    assert loop.collect()["returned_events"] == 2
    assert loop.feedback("attribution") == [("none",), ("none",)]
    loop.ingest()
    loop.show("l1", NOON - HOUR, items="ba")
    found = loop.collect()
    assert loop.feedback("attribution, caused_by, rank, propensity") == [
        ("list_id", "l1", 2, 0.25),
        ("last_touch", "l1", 2, 0.25),
    ]
    assert (found["attributed_later"], found["returned_events"], found["returned_causes"]) == (
        2,
        0,
        2,
    )
    loop.ingest()
    assert loop.events() == {"e0": None, "feedback:f1": "l1", "feedback:f2": "l1"}
    found = loop.collect()
    assert (found["attributed_later"], found["returned_causes"]) == (0, 0)


def test_without_absolute_times_only_a_named_list_is_a_cause(loop):
    loop.show("l1", NOON)
    loop.respond(
        {"feedback_id": "f1", "timestamp": 7},
        {"feedback_id": "f2", "timestamp": 8, "list_id": "l1"},
    )
    loop.collect()
    assert loop.feedback("attribution, caused_by") == [("none", None), ("list_id", "l1")]


def test_a_second_delivery_changes_nothing_whatever_its_name(loop):
    loop.show("l1", NOON - HOUR)
    rows = [{"feedback_id": "f1"}, {"feedback_id": "f2", "response": "impression"}]
    loop.respond(*rows)
    loop.collect()
    before = loop.feedback("*")
    loop.respond(*rows, name="copy.jsonl")
    loop.respond(*rows, {"feedback_id": "f3", "timestamp": NOON - HOUR / 2}, name="overlap.jsonl")
    cut = loop.root.landing_feedback / "overlap.jsonl"
    cut.write_text(cut.read_text() + '\n{"feedback_id": "f9", "user_id": "u", "item')
    found = loop.collect()
    assert loop.feedback("*")[:2] == before
    assert {name: found[name] for name in (
        "copies_of_files", "new_files", "new_feedback", "duplicate_rows", "rejected_rows",
        "out_of_order_responses",
    )} == {"copies_of_files": 1, "new_files": 1, "new_feedback": 1, "duplicate_rows": 2,
           "rejected_rows": 1, "out_of_order_responses": 1}  # fmt: skip
    loop.ingest()
    assert loop.events() == {"e0": None, "feedback:f1": "l1", "feedback:f3": "l1"}


SERVED = {
    "list_id": "live",
    "user_id": "u",
    "score": 1.5,
    "probability": 0.5,
    "propensity": 0.25,
    "source": "exploration",
    "model_version": "m2",
    "generated_at": "2026-03-01T11:00:00Z",
}


def test_a_response_to_a_list_made_online_is_joined_to_it(loop):
    loop.show("l1", NOON - 2 * HOUR)
    loop.respond(
        {"feedback_id": "f1", "list_id": "live", "item_id": "b"},
        {"feedback_id": "f2"},  # the newest list that showed it was made online
        {"feedback_id": "f3", "list_id": "l1", "response": "impression"},
        {"feedback_id": "f4", "list_id": "live", "item_id": "b", "user_id": "somebody else"},
        {"feedback_id": "f5", "list_id": "live", "item_id": "b", "response": "impression"},
    )
    assert loop.collect(keep_days=36_500)["new_files_of_lists"] == 0
    assert [cause for (cause,) in loop.feedback("caused_by")] == [None, "l1", "l1", None, None]
    loop.respond({"feedback_id": "f6"})
    rows = [SERVED | {"rank": rank, "item_id": item} for rank, item in enumerate("ab", start=1)]
    loop.put("lists", *rows, name="serve-1.jsonl")
    found = loop.collect(keep_days=36_500)
    assert loop.feedback("caused_by, attribution, model_version, propensity, rank") == [
        ("live", "list_id", "m2", 0.25, 2),
        ("l1", "last_touch", "m1", 1.0, 1),
        ("l1", "list_id", "m1", 1.0, 1),
        (None, "none", None, None, None),
        ("live", "list_id", "m2", 0.25, 2),
        ("live", "last_touch", "m2", 0.25, 1),
    ]
    assert (found["new_slots_of_lists"], found["attributed_later"]) == (2, 2)
    rates = loop.read("select * from s7_feedback.response_rates where model_version = 'm2'")
    assert rates[["impressions", "clicks", "click_through"]].values.tolist() == [[1, 2, 1.0]]
    daily = loop.read(
        "select model_version, impressions from s7_feedback.daily_measures order by 1"
    )
    assert daily.values.tolist() == [["m1", 1], ["m2", 1]]
    loop.put("lists", *rows, name="copy.jsonl")
    assert loop.collect(keep_days=36_500)["new_files_of_lists"] == 0
    assert loop.read("select count(*) as n from s7_feedback.served_lists")["n"][0] == 2


def test_bad_rows_of_lists_are_rejected_and_published_lists_stay(loop):
    loop.show("l1", NOON - HOUR)
    bad = {
        "rank is not a whole number": {"rank": 0},
        "propensity is no probability": {"propensity": 0},
        "probability is no probability": {"probability": 1.5},
        "score is empty": {"score": None},
        "source is none of": {"source": "magic"},
        "is a relative step": {"generated_at": 5},
        "published list": {"list_id": "l1"},
        "before with another item": {"item_id": "b"},
    }
    good = SERVED | {"rank": 1, "item_id": "a"}
    loop.put("lists", good, good, *(good | row for row in bad.values()), name="serve-1.jsonl")
    loop.put("lists", {"list_id": "x"}, name="serve-2.jsonl")
    found = loop.collect(keep_days=36_500)
    assert (found["new_slots_of_lists"], found["rejected_slots_of_lists"]) == (1, len(bad))
    assert found["rejected_files_of_lists"] == 1
    reasons = loop.read("select reason from s7_feedback.rejected_lists order by file, line")
    for expected, reason in zip(bad, reasons["reason"], strict=False):
        assert expected in reason
    counts = loop.read(
        "select rows, accepted, duplicates from s7_feedback.list_files order by name"
    )
    assert counts.values.tolist() == [[10, 1, 1], [0, 0, 0]]


def test_lists_made_online_are_forgotten_when_they_are_old(loop):
    now = datetime.now(UTC)
    for age in (1, 3):
        at = (now - timedelta(days=age)).isoformat()
        row = SERVED | {"list_id": f"{age} days", "rank": 1, "item_id": "a", "generated_at": at}
        loop.put("lists", row)
    loop.collect(keep_days=2)
    left = loop.read("select list_id from s7_feedback.served_lists")
    assert left["list_id"].tolist() == ["1 days"]


OWN = {"event_id": "own", "user_id": "u", "item_id": "a", "timestamp": NOON, "behavior": "buy"}


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("shop_first", [True, False])
def test_an_event_that_the_shop_delivers_is_caused_too_whichever_comes_first(
    loop, named, shop_first
):
    loop.show("l1", NOON - HOUR)
    steps = [
        lambda: (loop.put("events", OWN, name="shop.jsonl"), loop.ingest()),
        lambda: (
            loop.respond(
                {"feedback_id": "f1", "response": "buy"} | ({"event_id": "own"} if named else {})
            ),
            loop.collect(),
            loop.ingest(),
        ),
    ]
    for step in steps if shop_first else steps[::-1]:
        step()
    loop.clean(caused_weight=0.5)
    if not named and not shop_first:
        return  # an event that nothing names is another event
    assert loop.events("s2_sequences.clean_events") == {"e0": None, "own": "l1"}
    weights = loop.read("select weight from s2_sequences.clean_events order by event_id")["weight"]
    assert weights.tolist() == [1.0, 1.0]  # a click counts 1, a buy 2, half of it where caused


def test_files_in_another_order_give_the_same_causes(loop, tmp_path):
    loop.show("l1", NOON - HOUR)
    for n, own_cause in enumerate(("own list", None)):
        event = OWN | {"event_id": f"own{n}", "caused_by": own_cause}
        loop.put("events", event, name=f"shop{n}.jsonl")
        loop.respond({"feedback_id": f"f{n}", "response": "buy", "event_id": f"own{n}"})
        loop.collect()
        loop.ingest()
    expected = {"e0": None, "own0": "own list", "own1": "l1"}
    loop.collect()
    loop.ingest()
    assert loop.events() == expected
    again = type(loop.root)(tmp_path / "again")
    for folder in (again.landing_events, again.landing_items, again.landing_feedback):
        folder.mkdir(parents=True)
    rebuilt = Loop(again)
    for path in sorted(loop.root.landing_events.iterdir(), reverse=True):
        (again.landing_events / path.name).write_bytes(path.read_bytes())
        rebuilt.ingest()
    assert rebuilt.events() == expected


def test_a_store_of_before_gains_the_columns(loop):
    with loop.resources["warehouse"].connect() as connection:
        known = tuple(c for c in s2_tables.CLEAN_EVENTS.columns if c.name != "caused_by")
        Table("s2_sequences", "older", known, ("seq",)).create(connection)
        newer = Table(
            "s2_sequences", "older", (*known, Column("caused_by", "varchar", ".")), ("seq",)
        )
        connection.execute("insert into s2_sequences.older (seq) values (1)")
        newer.create(connection)
        assert connection.execute("select caused_by from s2_sequences.older").fetchall() == [
            (None,)
        ]


def test_the_returned_file_of_one_state_is_one_file(loop, tmp_path):
    events = pd.DataFrame([{"event_id": "e", "caused_by": "l", "is_new": True}])
    assert return_events(events, tmp_path) == return_events(events, tmp_path)
    assert json.loads(next(tmp_path.glob("returned-*")).read_text()) == {
        "event_id": "e",
        "caused_by": "l",
    }
