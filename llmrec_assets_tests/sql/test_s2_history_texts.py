"""Histories as one text each: where they end, what is cut, and that nothing later is in them."""

import numpy as np
import pandas as pd
import pytest

from llmrec_assets.core.sequences import Sequences
from llmrec_assets.core.splits import global_time_split, hold_out_last, leave_one_out
from llmrec_assets.sql.training_data import load
from llmrec_assets_tests.sql.test_s2_texts import Store, item

ITEMS = [item(name, name.upper()) for name in "abcdefgh"] + [item("none")]
DAY = pd.Timestamp("2024-01-01")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def events(*items: str, **more) -> list[dict]:
    """One user's events, a day apart; `+` before an item makes it no target."""
    return [
        {"item_id": name.strip("+"), "behavior": "dislike" if name[0] == "+" else "buy"} | more
        for name in items
    ]


def told(store: Store, given: list[dict], **reading) -> dict[int, str]:
    """Number of events → the text of the history of so many, of the user u."""
    store.build(ITEMS, given, **{"history_texts": True} | reading)
    found = store.warehouse.read_arrow(
        "select n_events, text from s2_sequences.history_texts where user_id = 'u' order by 1"
    )
    return {row["n_events"]: row["text"] for row in found.to_pylist()}


def test_a_text_ends_before_each_target_and_one_tells_everything(store):
    # Of five events none is old enough for another moment than those of leave-one-out.
    assert told(store, events("a", "b", "c", "d", "e")) == {
        3: "buy C, buy B, buy A",
        4: "buy D, buy C, buy B, buy A",
        5: "buy E, buy D, buy C, buy B, buy A",
    }


def test_what_is_no_target_is_told_too(store):
    assert told(store, events("a", "b", "+c", "d", "+e")) == {
        1: "buy A",
        3: "dislike C, buy B, buy A",
        5: "dislike E, buy D, dislike C, buy B, buy A",
    }


def test_later_events_change_nothing(store):
    before = told(store, events("a", "b", "c", "d", "e"), language="zh")
    after = told(store, events("a", "b", "c", "f", "g", "h", "h"), language="zh")
    again = told(store, events("a", "b", "c", "f", "g"), language="zh")
    assert before[3] == again[3] == "购买C，购买B，购买A"
    assert after[5] == again[5]
    assert 3 not in after


def test_the_oldest_steps_are_cut_first(store):
    given = events("a", "b", "none", "d", "e")
    newest = told(store, given, history_length=2)
    # The item without a text counts as a step, and has no words.
    assert newest == {3: "buy B", 4: "buy D", 5: "buy E, buy D"}
    short = told(store, given, history_characters=10)
    assert short == {3: "buy B, buy", 4: "buy D, buy", 5: "buy E, buy"}


def test_few_events_and_items_without_text(store):
    assert told(store, events("a")) == {1: "buy A"}
    assert told(store, events("+a", "a")) == {1: "dislike A", 2: "buy A, dislike A"}
    assert told(store, events("none", "none", "none")) == {}


def test_details_of_the_steps_are_told_where_they_are_asked_for(store):
    given = events("a", "b", "c", rating=4.0)
    given[2]["rating"] = 5.0  # held out, so that it does not tell the scale
    assert told(store, given)[3] == "buy C, buy B, buy A"
    assert (
        told(store, given, step_details=True)[3] == "buy C. rated 5, buy B. rated 4, buy A. rated 4"
    )


def test_switched_off_nothing_is_told_or_encoded(store):
    texts = {}
    for told_too in (False, True, False):
        store.build(ITEMS, events("a", "b", "c"), history_texts=told_too)
        store.vectors()
        features = store.warehouse.read(
            "select kind, text from s3_embeddings.text_features order by n_events"
        )
        texts[told_too] = features.loc[features["kind"] == "history", "text"].tolist()
    assert texts == {False: [], True: ["buy A", "buy B, buy A", "buy C, buy B, buy A"]}
    vectors = store.warehouse.read("select count(*) n from s3_embeddings.text_vectors")["n"][0]
    features = store.warehouse.read("select distinct text from s3_embeddings.text_features")
    # Those of before stay, for the next time; the shortest history is the text of a step.
    assert vectors == len(features) + 2


def many(seed: int) -> list[dict]:
    """Events of some users, most of them targets, some at one time with others."""
    rng = np.random.default_rng(seed)
    return [
        {"user_id": f"u{user}", "item_id": str(rng.choice(list("abcdefgh"))),
         "behavior": str(rng.choice(["buy", "view", "dislike"])),
         "timestamp": DAY + pd.Timedelta(hours=int(rng.integers(0, 300)))}
        for user in range(25)
        for _ in range(rng.integers(1, 14))
    ]  # fmt: skip


def sequences_in(store: Store) -> Sequences:
    """What a model reads of the store, with stage 4 built anew."""
    from llmrec_assets.sql import s4_features

    store.vectors()
    with store.warehouse.connect() as connection:
        s4_features.build_temporal(connection)
        s4_features.build_fused(connection)
        none = (np.zeros(0, np.int64), np.zeros(0, np.int32))
        data = load(connection, np.zeros((0, 4)), none, fit="final", statistics_version="none")
    return data.sequences


@pytest.mark.parametrize("seed", range(3))
def test_every_target_of_both_protocols_has_the_text_of_what_came_before(store, seed):
    store.build(ITEMS, many(seed), history_texts=True)
    sequences = sequences_in(store)
    split, at_once = leave_one_out(sequences), global_time_split(sequences)
    past = hold_out_last(sequences, at_once.train_end)
    goals = [split.validation, split.test, past.validation, at_once.test]
    assert all((goal >= 0).any() for goal in goals)
    ends = np.concatenate([*goals, sequences.offsets[1:]])
    ends = ends[ends >= 0]
    assert (sequences.history_rows[ends - 1] >= 0).all()
    others = np.setdiff1d(np.arange(len(sequences.items)), ends - 1)
    assert (sequences.history_rows[others] == -1).all()
    texts = store.warehouse.read(
        """select embedding_row, min(text) as text from s3_embeddings.text_features
        where kind = 'history' group by 1"""
    ).set_index("embedding_row")["text"]
    steps = store.warehouse.read(
        """select behavior || ' ' || upper(item_id) as step from s2_sequences.clean_events
        order by user_id, time, seq"""
    )["step"].tolist()
    owners = np.searchsorted(sequences.offsets, ends - 1, side="right") - 1
    for end, start in zip(ends, sequences.starts[owners], strict=True):
        expected = ", ".join(reversed(steps[start:end]))
        assert texts[sequences.history_rows[end - 1]] == expected


def test_without_texts_a_model_reads_none(store):
    store.build(ITEMS, many(0))
    assert len(sequences_in(store).history_rows) == 0
