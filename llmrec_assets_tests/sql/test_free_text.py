"""Texts lose what names a person when they come in, and an event stays the same event."""

import pandas as pd

from llmrec_assets.resources.wiring import resources_of

GIVEN = ["ring 13800138000 or mail a@b.example", "grand, 5 of 5, for 1299.00", None]
LEFT = ["ring [phone] or mail [e-mail]", "grand, 5 of 5, for 1299.00", None]


def land(layout, name="a.csv"):
    rows = [{"user_id": f"u{n}", "item_id": "i1", "timestamp": "2026-01-01", "behavior": "review",
             "text": text} for n, text in enumerate(GIVEN)]  # fmt: skip
    rows.append({**rows[0], "timestamp": "no time"})
    pd.DataFrame(rows).to_csv(layout.landing_events / name, index=False)


def events(layout):
    query = "select event_id, text from s1_raw_events.raw_events order by user_id"
    frame = resources_of(layout)["warehouse"].read(query)
    return frame["event_id"].tolist(), frame["text"].astype(object).where(
        frame["text"].notna(), None
    ).tolist()  # fmt: skip


def test_texts_and_rejected_rows_are_scrubbed(root, run_job):
    land(root)
    run_job("ingest")
    assert events(root)[1] == LEFT
    rejected = resources_of(root)["warehouse"].read("from s1_raw_events.rejected_events")
    assert "[phone] or mail [e-mail]" in rejected["row"][0]


def test_it_can_be_switched_off_and_ids_of_events_stay(root, run_job, monkeypatch):
    land(root)
    run_job("ingest")
    ids = events(root)[0]
    monkeypatch.setenv("LLMREC_SCRUB_TEXT", "false")
    for path in (root.warehouse, *root.landing_events.iterdir()):
        path.unlink()
    land(root, "b.csv")
    run_job("ingest")
    assert events(root) == (ids, GIVEN)


def test_the_same_event_in_another_file_is_a_duplicate(root, run_job):
    land(root)
    run_job("ingest")
    pd.read_csv(root.landing_events / "a.csv")[::-1].to_csv(
        root.landing_events / "b.csv", index=False
    )
    run_job("ingest")
    files = resources_of(root)["warehouse"].read(
        "select accepted, duplicates, rejected from s1_raw_events.files order by name"
    )
    assert files.values.tolist() == [[3, 0, 1], [0, 3, 1]]
