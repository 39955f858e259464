"""Cleaning, order, statistics and features on hand-made logs, through the real assets."""

import dagster as dg
import duckdb
import numpy as np
import pytest

from llmrec_assets.assets.s2_sequences import SequencesConfig, user_sequences
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets.definitions import defs
from llmrec_assets.resources import arrays as arrays_module
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.sql.training_data import SPLITS

TRAIN, TEST = SPLITS.index("train"), SPLITS.index("test")
HEADER = "user_id,item_id,timestamp,behavior,rating,value\n"


@pytest.fixture
def build(root):
    """Write a log and build everything up to the fused features; a reader of the warehouse."""

    def run(text, name="events.csv", steps=None, **cleaning):
        (root.landing_events / name).write_text(text, encoding="utf-8")
        resources = resources_of(root)
        resources["encoder"] = type(resources["encoder"])(model="bag_of_words")
        job = dg.define_asset_job("build", dg.AssetSelection.assets("fused_features").upstream())
        definitions = dg.Definitions(
            assets=defs.assets, asset_checks=defs.asset_checks, jobs=[job], resources=resources
        )
        configs = {"clean_events": cleaning, "user_sequences": steps or {}}
        config = {"ops": {op: {"config": given} for op, given in configs.items()}}
        result = definitions.resolve_job_def("build").execute_in_process(run_config=config)
        assert result.success

        def read(query):
            with duckdb.connect(str(root.warehouse), read_only=True) as connection:
                return connection.execute(query).df()

        return read

    return run


def removed(read):
    reasons = read("select reason from s2_sequences.removed_events order by seq")["reason"]
    return reasons.tolist()


def test_impossible_times_impressions_and_repeats_are_removed_with_their_reason(build):
    day = "2024-01-0{}T10:00:00Z"
    rows = [
        "1,a,0001-01-01,buy,,",
        "1,a,9999-12-31,buy,,",
        f"1,a,{day.format(1)},impression,,",
        f"1,a,{day.format(1)},buy,4,",
        f"1,a,{day.format(1)},buy,5,",
        f"1,b,{day.format(2)},buy,,",
    ]
    read = build(HEADER + "\n".join(rows))
    assert [reason.split(" ")[0] for reason in removed(read)] == ["time", "time", "an", "repeats"]
    assert read("select item_id from s2_sequences.clean_events order by seq")[
        "item_id"
    ].tolist() == ["a", "b"]


def test_an_event_that_comes_by_id_and_again_without_counts_once(build):
    build("event_id,user_id,item_id,timestamp,behavior\ne1,u,a,5,click\n", "a.csv")
    read = build("user_id,item_id,timestamp,behavior\nu,a,5,click\nu,b,6,click\n", "b.csv")
    kept = read("select event_id, item_id from s2_sequences.clean_events order by seq")
    assert kept["item_id"].tolist() == ["a", "b"]
    assert kept["event_id"][0] == "e1"


def test_ties_in_time_keep_the_order_of_the_file(build):
    read = build(HEADER + "".join(f"1,{item},5,buy,,\n" for item in "zcam"))
    lists = read("select item_ids from s2_sequences.user_sequences")["item_ids"][0]
    assert list(lists) == list("zcam")


def test_bots_are_flagged_and_never_targets_but_kept(build):
    day = [f"1,i{n},2024-01-01T10:00:{n:02d}Z,view,," for n in range(20)]
    read = build(
        HEADER + "\n".join([*day, "2,a,2024-01-01T10:00:00Z,view,,"]), bot_events_per_day=10
    )
    bots = read("select user_id, bool_and(is_bot) b, bool_or(positive) p"
                " from s2_sequences.clean_events group by 1 order by 1")  # fmt: skip
    assert bots["b"].tolist() == [True, False]
    assert bots["p"].tolist() == [False, True]
    read = build(HEADER, "none.csv", bot_events_per_day=10, drop_bots=True)
    assert set(removed(read)) == {"bot"}


def test_who_does_little_but_push_one_item_is_a_bot(build):
    farm = [f"1,a,{step},buy,," for step in range(9)] + ["1,b,9,view,,"]
    fan = [f"2,{'ab'[step % 3 == 0]},{step},buy,," for step in range(10)]
    few = [f"3,a,{step},buy,," for step in range(9)]
    rules = {"bot_one_item_share": 0.8, "bot_one_item_events": 10}
    read = build(HEADER + "\n".join(farm + fan + few), **rules)
    query = "select bool_and(is_bot) b from s2_sequences.clean_events group by user_id"
    assert read(f"{query} order by user_id")["b"].tolist() == [True, False, False]
    read = build(HEADER, "none.csv", **rules | {"bot_one_item_share": 1.0})
    assert not read(query)["b"].any()


def test_k_core_goes_on_until_nothing_changes(build):
    rows = [f"{u},{i},{t},buy,," for u in "123" for t, i in enumerate("abc")]
    read = build(HEADER + "\n".join([*rows, "4,a,1,buy,,", "1,rare,9,buy,,"]), k_core=3)
    kept = read("select count(*) n, count(distinct user_id) u from s2_sequences.clean_events")
    assert kept.iloc[0].tolist() == [9, 3]
    assert set(removed(read)) == {"below the 3-core"}


def test_statistics_come_from_the_training_period_only(build):
    rows = [f"{u},i{t},{t},rate,{100 if t >= 3 else 2 + t},{1}" for u in "12" for t in range(5)]
    read = build(HEADER + "\n".join(rows))
    stats = read("select fit, maximum from s2_sequences.value_statistics where feature = 'rating'")
    by_fit = dict(zip(stats["fit"], stats["maximum"], strict=True))
    assert by_fit["evaluation"] == 4
    assert by_fit["final"] == 100


def test_an_absurd_number_is_refused_and_the_rest_goes_on(build):
    read = build(HEADER + "1,a,1,rate,1e200,\n1,b,2,rate,4,\n")
    assert read("select count(*) n from s2_sequences.clean_events")["n"][0] == 1
    assert read("select line from s1_raw_events.rejected_events")["line"].tolist() == [2]


def test_features_know_only_what_happened_before(build):
    rows = [
        "1,a,2024-01-01T10:00:00Z,view,,",
        "2,a,2024-01-01T10:00:00Z,view,,",
        "1,b,2024-01-01T10:05:00Z,view,,",
        "1,a,2024-01-01T12:05:00Z,view,,",
    ]
    read = build(HEADER + "\n".join(rows))
    features = read(
        "select * from s4_features.temporal_features order by user_id, position"
    ).set_index(["user_id", "position"])
    assert features["item_popularity"].tolist() == [0, 0, 2, 0]
    assert features["gap"].fillna(-1).tolist() == [-1, 300, 7200, -1]
    assert features["recency"].fillna(-1).tolist() == [-1, -1, 7500, -1]
    assert features["session_position"].tolist() == [0, 1, 0, 0]
    assert features["hour"].tolist() == [10, 10, 12, 10]
    assert features["weekday"].tolist() == [0, 0, 0, 0]


def test_a_step_that_a_list_caused_is_told_from_an_organic_one(build):
    read = build(
        "user_id,item_id,timestamp,behavior,caused_by\n"
        "1,a,3,click,\n1,b,4,click,l1\n1,c,5,buy,l1\n",
        caused_weight=0.25,
    )
    steps = read("select recommended, weight from s4_features.fused_features order by position")
    assert steps["recommended"].tolist() == [0, 1, 1]
    assert steps["weight"].tolist() == [1, 0.25, 0.5]


def test_relative_times_tell_nothing_about_other_users(build):
    read = build(HEADER + "1,a,3,view,,\n2,a,9,view,,\n")
    features = read("from s4_features.temporal_features")
    assert features["item_popularity"].isna().all()
    assert features["item_age"].isna().all()


def test_sql_and_numpy_agree_on_the_split(build, root):
    from llmrec_assets.assets.model_inputs import read_inputs

    behaviors = ["buy", "dislike", "buy", "buy", "skip", "buy"]
    rows = [f"{u},i{t},{t},{b},," for u in range(4) for t, b in enumerate(behaviors[: 3 + u])]
    build(HEADER + "\n".join(rows))
    resources = resources_of(root)
    data = read_inputs(resources["warehouse"], resources["arrays"], "z-score").final
    split = leave_one_out(data.sequences)
    for user, (start, end) in enumerate(zip(data.sequences.offsets, split.train_end, strict=False)):
        assert (data.splits[start:end] == TRAIN).all(), user
        assert (data.splits[end : data.sequences.offsets[user + 1]] != TRAIN).all(), user
    assert (data.splits[split.test[split.test >= 0]] == TEST).all()


def test_large_arrays_lie_in_files_and_say_the_same(build, root, monkeypatch):
    from llmrec_assets.assets.model_inputs import read_inputs

    build(HEADER + "1,a,1,buy,4,\n1,b,2,buy,,7\n2,a,3,view,,\n")
    resources = resources_of(root)
    held = read_inputs(resources["warehouse"], resources["arrays"], "z-score").final
    monkeypatch.setattr(arrays_module, "_IN_MEMORY", 0)
    mapped = read_inputs(resources["warehouse"], resources["arrays"], "z-score").final
    assert isinstance(mapped.sequences.numeric, np.memmap)
    assert not isinstance(held.sequences.numeric, np.memmap)
    assert mapped.fingerprint == held.fingerprint


def test_the_template_is_named_and_so_are_the_items_that_break_it(build, root):
    (root.landing_items / "items.csv").write_text("item_id,title,kg\na,A,2\nb,B,heavy\n")
    read = build(HEADER + "1,a,1,buy,,\n1,b,2,buy,,\n")
    made = resources_of(root)
    resources = {name: made[name] for name in ("warehouse", "behavior_dictionary", "engine")}

    def metadata(source):
        result = user_sequences(SequencesConfig(text_template=source), **resources)
        return result.metadata["text_template"], result.metadata["items_with_fallback_text"]

    assert metadata("") == ("built-in", 0)
    label, fell_back = metadata("{{ title }} {{ attributes.kg|float(none) * 2 if attributes.kg }}")
    assert len(label) == 12
    assert fell_back == 1
    texts = read("select text from s2_sequences.item_texts order by item_id")["text"]
    assert texts.tolist() == ["A 4.0", "B"]


def test_a_wrong_template_is_refused_by_the_name_of_its_field():
    with pytest.raises(ValueError, match=r"text_template\n.*line 1: unknown variable 'titel'"):
        SequencesConfig(text_template="{{ titel }}")


def test_half_a_character_is_rejected_and_a_nul_becomes_a_space(build, root):
    titles = ['{"item_id": "x", "title": "a\\ud83d b"}', '{"item_id": "y", "title": "a\\u0000b"}']
    (root.landing_items / "items.jsonl").write_text("\n".join(titles))
    read = build(HEADER + "1,x,1,buy,,\n1,y,2,buy,,\n")
    rejected = read("select line, reason from s1_raw_events.rejected_events")
    assert rejected.to_dict("list") == {"line": [1], "reason": ["not a JSON object"]}
    texts = read("select text from s3_embeddings.text_features where kind = 'item'")
    assert texts["text"].tolist() == ["a b"]


def test_steps_with_other_details_have_other_vectors(build, root):
    (root.landing_items / "items.csv").write_text("item_id,title\na,A\nb,B\n")
    header = "user_id,item_id,timestamp,behavior,rating,text\n"
    read = build(
        header + "1,a,1,rate,4,great\n1,a,2,rate,1,awful\n1,b,3,buy,,\n2,a,1,rate,4,great\n"
    )

    def rows():
        return read(
            """select texts.embedding_row from s4_features.fused_features as steps
            left join s2_sequences.event_details as told using (seq)
            join s4_features.items as items using (item_id)
            join s4_features.behaviors as behaviors using (behavior)
            join s4_features.step_rows as texts on texts.item_code = items.item_code
                and texts.behavior_code = behaviors.behavior_code
                and texts.details = coalesce(told.details, '')
            order by user_id, position"""
        )["embedding_row"].tolist()

    first, again, other, same = rows()
    assert first == again == same != other
    build(header, "none.csv", steps={"step_details": True})
    first, again, other, same = rows()
    assert first == same
    assert len({first, again, other}) == 3
    assert min(first, again, other) >= 0
