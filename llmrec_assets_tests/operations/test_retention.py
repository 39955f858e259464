"""What is older than the retention goes everywhere, stays away, and all else stays."""

import gzip
import json
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from llmrec_assets.operations import erasure, landing_edits, retention
from llmrec_assets.operations.search import find_user
from llmrec_assets.resources.owned_folders import owned_folder
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.sql import s2_clean_events, s2_words
from llmrec_assets.sql.s1_retention import RelativeTimes
from llmrec_assets_tests.operations.test_erasure import CONFIG, llmrec

NOW = datetime.now(UTC).replace(microsecond=0, tzinfo=None)
GONE, HALF = "left long ago", "came back"  # all of the first's events are old, some of the other's
DAYS = 30


def at(days):
    return (NOW - timedelta(days=days)).isoformat()


def event(user, place, days, **more):
    return {"user_id": user, "item_id": f"i{place % 6}", "timestamp": at(days), "behavior": "buy",
            "event_id": f"{user}-{place}", "text": f"{user} says {place}", **more}  # fmt: skip


OLD = [event(GONE, n, 90 - n) for n in range(5)] + [event(HALF, n, 60 - n) for n in range(4)]
YOUNG = [event(HALF, n, 5 - n / 10) for n in range(4, 8)] + [
    event(f"user-{u:02}", u + n, 9 - n) for u in range(12) for n in range(6)
]


def land(layout, name, rows):
    frame, path = pd.DataFrame(rows), layout.landing_events / name
    if name.endswith(".parquet"):
        frame.to_parquet(path, index=False)
    elif name.endswith(".gz"):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        path.write_bytes(gzip.compress(lines.encode()))
    else:
        frame.to_csv(path, index=False)
    return path


@pytest.fixture
def landed(root):
    """Landing files of every form, some of whose rows are old."""
    land(root, "old.csv", OLD[:4])
    land(root, "mixed.parquet", [*OLD[4:7], *YOUNG[:30]])
    land(root, "mixed.jsonl.gz", [*OLD[7:], *YOUNG[30:60]])
    land(root, "young.csv", [*YOUNG[60:], event(GONE, 99, 70, rating="none at all")])
    return root


def forget(layout, days=DAYS):
    resources = resources_of(layout)
    return retention.forget(resources["warehouse"], resources["landing"], days, NOW)


def read(layout, query):
    return resources_of(layout)["warehouse"].read(query)


def events(layout):
    return sorted(read(layout, "select event_id from s1_raw_events.raw_events")["event_id"])


def ids(rows):
    return sorted(row["event_id"] for row in rows)


def test_the_command_forgets_everywhere_and_keeps_the_rest(landed, run_job):
    run_job(config={**CONFIG, "user_sequences": {"step_details": True, "history_texts": True}})
    lists = pd.read_parquet(landed.recommendations)
    answers = [
        {"feedback_id": f"f{n}", "user_id": row.user_id, "item_id": row.item_id,
         "timestamp": at(80 if row.user_id == GONE else 1), "response": "like"}
        for n, row in enumerate(lists[lists["rank"] == 1].itertuples())
    ]  # fmt: skip
    pd.DataFrame(answers).to_csv(landed.landing_feedback / "answers.csv", index=False)
    run_job("collect_feedback")
    run_job("ingest")
    saw = read(landed, "select model_version from s5_model.temporal_model")["model_version"][0]
    assert {"landing/events/old.csv", "landing/feedback/answers.csv"} <= set(
        find_user(landed, GONE)
    )
    last = read(landed, "select max(seq) as n from s1_raw_events.raw_events")["n"][0]

    said = llmrec(landed, "expire", "--days", str(DAYS), "--yes")
    assert "refused from now on" in said
    assert saw in said
    assert find_user(landed, GONE) == {}
    assert not (landed.landing_events / "old.csv").exists()
    kept = [name for name in events(landed) if not name.startswith("feedback:")]
    assert kept == ids(YOUNG)
    assert set(pd.read_parquet(landed.recommendations)["user_id"]) == {
        row["user_id"] for row in YOUNG
    }
    texts = " ".join(
        read(landed, "select text from s1_raw_events.raw_events where text is not null")["text"]
    )
    assert f"{HALF} says 0" not in texts
    details = read(landed, "select details from s3_embeddings.text_features")["details"].dropna()
    assert not details.str.contains(f"{HALF} says 0").any()
    vectors = read(landed, "select count(*) as n from s3_embeddings.text_vectors")["n"][0]
    assert vectors == read(
        landed, "select count(distinct text_key) as n from s3_embeddings.text_features"
    )["n"][0]  # fmt: skip

    # What comes in next has higher numbers than all that ever came in.
    land(landed, "next.csv", [event("user-00", 77, 0.5)])
    llmrec(landed, "run")
    assert read(landed, "select max(seq) as n from s1_raw_events.raw_events")["n"][0] > last
    again = read(landed, "select sum(duplicates) as n from s1_raw_events.files")["n"][0]
    assert again == 0  # the files as they are now are known


def test_old_rows_that_come_again_are_refused_without_their_text(landed, run_job):
    before = {p.name: p.read_bytes() for p in landed.landing_events.iterdir()}
    run_job("ingest")
    forget(landed)
    assert events(landed) == ids(YOUNG)
    for name, content in before.items():
        (landed.landing_events / f"again-{name}").write_bytes(content)
    run_job("ingest")
    assert events(landed) == ids(YOUNG)
    refused = read(landed, "from s1_raw_events.rejected_events where file like 'again-%'")
    assert set(refused["reason"]) == {"older than the retention"}
    assert len(refused) == len(OLD) - 4 + 1  # the content of old.csv, which is gone, is known
    assert refused["row"].isna().all()
    assert forget(landed).files  # their old rows go, too
    assert find_user(landed, GONE) == {}


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", range(12))
def test_a_kill_between_any_two_steps_loses_and_doubles_nothing(landed, run_job, monkeypatch, step):
    run_job("ingest")
    passed = 0

    def after(function):
        def killing(*arguments):
            nonlocal passed
            result = function(*arguments)
            passed += 1
            if passed == step + 1:
                raise Killed
            return result

        return killing

    with monkeypatch.context() as patched:
        patched.setattr(landing_edits.Edited, "replace", after(landing_edits.Edited.replace))
        patched.setattr(retention.s1_retention, "begin", after(retention.s1_retention.begin))
        patched.setattr(landing_edits, "blank_rows", after(landing_edits.blank_rows))
        patched.setattr(landing_edits.persons, "note_hash", after(landing_edits.persons.note_hash))
        forget_rows = after(retention.s1_retention.forget_rows)
        patched.setattr(retention.s1_retention, "forget_rows", forget_rows)
        with pytest.raises(Killed):
            forget(landed)
    run_job("ingest")  # before it is repeated: a file that was replaced comes in once more
    gone = forget(landed)
    assert gone.unread == []
    assert events(landed) == ids(YOUNG)
    assert find_user(landed, GONE) == {}
    run_job("ingest")
    assert events(landed) == ids(YOUNG)
    assert forget(landed).files == []


def test_a_file_that_has_nothing_old_is_not_read_again(landed, run_job, monkeypatch):
    run_job("ingest")
    forget(landed)
    read_files = []
    monkeypatch.setattr(retention, "edit", lambda *found, **_: read_files.append(found[2].name))
    forget(landed)
    assert read_files == []
    forget(landed, days=3)
    assert set(read_files) == {"mixed.parquet", "mixed.jsonl.gz", "young.csv"}


def test_files_that_are_alike_once_old_rows_are_gone_are_one(root, run_job):
    for n in range(2):
        land(root, f"{n}.jsonl.gz", [event("a", 1, 2), event("a", 20 + n, 50)])
    run_job("ingest")
    assert len(forget(root).files) == 2
    assert events(root) == ["a-1"]
    counts = read(root, "select count(*) as n, sum(accepted) as accepted from s1_raw_events.files")
    assert counts.to_dict("records") == [{"n": 1, "accepted": 3}]


def test_a_sweep_takes_away_what_increments_and_killed_tasks_left(root, run_job):
    land(root, "a.csv", [event(HALF, n, 40 - 5 * n) for n in range(8)])
    run_job("ingest")
    rules = {"earliest": "1990-01-01", "bot_events_per_day": 9, "drop_bots": False, "k_core": 0,
             "outlier_deviations": 6}  # fmt: skip

    def clean():
        with resources_of(root)["warehouse"].connect() as connection:
            s2_words.register_words(connection, {}, "en")
            s2_clean_events.clean(connection, **rules)

    clean()
    forget(root)
    clean()
    assert len(read(root, "from s2_sequences.moved_events where gone")) == 2
    with owned_folder(root.tasks) as at_work:
        (root.tasks / "killed").mkdir()
        (root.tasks / "killed" / "part-0.parquet").write_bytes(b"of a task")
        erasure.sweep(root)
        assert list(root.tasks.iterdir()) == [at_work]
    assert read(root, "from s2_sequences.moved_events").empty


def test_relative_times_are_refused(root, run_job):
    steps = root.landing_events / "steps.csv"
    steps.write_text("user_id,item_id,timestamp,behavior\na,i1,1,buy\n")
    run_job("ingest")
    with pytest.raises(RelativeTimes, match=r"steps\.csv.*retract.*LLMREC_RETENTION_DAYS=0"):
        forget(root)
    assert len(events(root)) == 1


def test_relative_times_do_not_come_in_where_ages_count(root, run_job):
    land(root, "a.csv", [event("a", 1, 2)])
    run_job("ingest")
    forget(root)
    (root.landing_events / "steps.csv").write_text(
        "user_id,item_id,timestamp,behavior\na,i1,1,buy\n"
    )
    (root.landing_feedback / "steps.csv").write_text(
        "feedback_id,user_id,item_id,timestamp,response\nf,a,i1,1,like\n"
    )
    run_job("ingest")
    assert events(root) == ["a-1"]
    reasons = read(root, "select reason from s1_raw_events.rejected_events")["reason"].tolist()
    assert len(reasons) == 1
    assert "relative steps, which have no age" in reasons[0]


def test_the_loop_forgets_by_itself_where_it_is_set(landed, run_job):
    run_job(config={**CONFIG, "expiries": {"days": DAYS}})
    assert events(landed) == ids(YOUNG)
    assert GONE not in set(pd.read_parquet(landed.recommendations)["user_id"])
    assert read(landed, "select before from s1_raw_events.expiries").shape == (1, 1)


def test_a_store_that_holds_old_events_alone_becomes_empty(root, run_job):
    land(root, "old.csv", [*OLD, *[{**row, "timestamp": at(50)} for row in YOUNG]])
    run_job(config=CONFIG)
    llmrec(root, "expire", "--days", "30", "--yes")
    assert events(root) == []
    assert find_user(root, GONE) == {}
    assert not root.recommendations.exists()
