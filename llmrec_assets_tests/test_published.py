"""A published package ranks as the pipeline did, and its new events are those of the pipeline."""

import json

import numpy as np
import pandas as pd
import pytest

from llmrec_assets import published
from llmrec_assets.core.new_events import NUMERIC, NewEvent
from llmrec_assets.core.online import History, assemble, recommend
from llmrec_assets.published import BrokenPackage
from llmrec_assets.sql.s4_tables import NUMERIC_FEATURES
from llmrec_assets_tests.who_serves import let_serve

CONFIG = {
    "temporal_model": {"max_epochs": 1},
    "model_evaluation": {"global_time_split": False},
}
USERS, ITEMS, EVENTS = 40, 24, 7


def event(user, step):
    """Ratings and dwell times of all kinds, sessions of several lengths, items met again."""
    item = (user * 5 + step * step) % (ITEMS - 2)
    time = 1_700_000_000 + user * 40_000 + step // 3 * 9_000 + step % 3 * 600
    rating = "" if step % 2 else 1 + (user + step) % 5
    behavior = ("buy", "view", "rate")[(user + step) % 3]
    return f"u{user:02},i{item:02},{time},{behavior},{rating}"


def write_events(root, name, steps):
    lines = [event(user, step) for user in range(USERS) for step in steps]
    header = "user_id,item_id,timestamp,behavior,rating\n"
    (root.landing_events / name).write_text(header + "\n".join(lines) + "\n")


@pytest.fixture
def publish(root, run_job):
    """Let a model, or a baseline, serve; the package that was published."""
    kinds = ["red shoes", "blue shoes", "green tea", "black tea"]
    titles = "".join(f"i{n:02},{kinds[n % 4]} {n},{kinds[n % 4][-5:]}\n" for n in range(ITEMS))
    (root.landing_items / "items.csv").write_text("item_id,title,category\n" + titles)

    def serve(kind="model", **lists):
        let_serve(root, kind)
        run_job("refresh_lists", config={"recommendations": lists})
        return current(root)

    write_events(root, "events.csv", range(EVENTS))
    run_job(config=CONFIG)
    return serve


def current(root):
    package = published.read_current(root)
    assert package is not None
    return published.load(root.packages / package)


def online(package, histories):
    ids = [package.list_ids[h.user] if h.user is not None else "" for h in histories]
    made = recommend(package.snapshot, histories, ids)
    return pd.DataFrame({"user": made.users, "rank": made.ranks, "code": made.codes,
                         "score": made.scores, "propensity": made.propensities})  # fmt: skip


SERVED = [
    ("model", {}),
    ("model", {"exploration": 0.3}),
    ("model", {"diversity": 0.4, "exploration": 0.2}),
    ("popularity", {}),
    ("decayed_markov", {}),
    ("own_history", {"exclude_seen": False}),
]


def test_online_lists_of_published_histories_are_the_published_lists(publish):
    for kind, lists in SERVED:
        package = publish(kind, **lists)
        assert package.info.source == ("model" if kind == "model" else "fallback")
        made, kept = online(package, [History(user) for user in range(USERS)]), package.lists
        assert [package.user_ids[u] for u in made["user"]] == kept["user_id"].tolist()
        assert made["rank"].tolist() == kept["rank"].tolist()
        assert [package.items["item_id"][c - 1] for c in made["code"]] == kept["item_id"].tolist()
        assert np.allclose(made["score"], kept["score"], atol=1e-5)
        assert np.allclose(made["propensity"], kept["propensity"], rtol=1e-4)


def new_events(package, user, steps):
    events = []
    for step in steps:
        _, item, time, behavior, rating = event(user, step).split(",")
        events.append(
            NewEvent(
                package.item_codes[item],
                package.behavior_codes[behavior],
                int(time) * 1_000_000,
                float(rating) if rating else np.nan,
            )
        )
    return events


def test_new_events_are_read_as_stage_four_would(root, run_job, publish):
    before = publish()
    histories = [
        History(user, new_events(before, user, reversed((EVENTS, EVENTS + 1))))
        for user in range(USERS)
    ]
    live = assemble(before.snapshot, histories)
    write_events(root, "newest.csv", (EVENTS, EVENTS + 1))
    run_job("ingest")
    run_job("refresh_lists")
    after = current(root).snapshot.sequences
    assert live.offsets.tolist() == after.offsets.tolist()
    for name in ("items", "behaviors", "times"):
        assert (getattr(live, name) == getattr(after, name)).all(), name
    told = after.text_rows >= 0
    assert ((live.text_rows >= 0) == told).all()
    # What others did since is not known online: it tells in the item's age and popularity alone.
    mine = [NUMERIC.index(name) for name in NUMERIC if name not in ("item_age", "item_popularity")]
    new = np.flatnonzero(np.arange(len(live.items)) >= 0)
    ours, theirs = live.numeric[new][:, mine], after.numeric[new][:, mine]
    assert np.allclose(ours, theirs, atol=1e-4, equal_nan=True), np.argwhere(
        ~np.isclose(ours, theirs, atol=1e-4, equal_nan=True)
    )[:5]


def test_a_new_event_changes_the_next_list_and_hides_what_was_seen(publish):
    package = publish()
    first = online(package, [History(3)])
    liked = NewEvent(int(first["code"][0]), 1, 1_900_000_000_000_000)
    then = online(package, [History(3, [liked])])
    assert liked.item not in set(then["code"])
    assert first["code"].tolist()[1:] != then["code"].tolist()
    nobody = online(package, [History(None, [liked])])
    assert liked.item not in set(nobody["code"])
    assert online(package, [History(None)])["rank"].tolist() == list(range(1, 21))


def test_a_damaged_package_is_not_read(root, publish):
    package = publish("popularity")
    folder = root.packages / package.info.package_id
    text = (folder / published.SCORER).read_text()
    (folder / published.SCORER).write_text(text.replace("popularity", "Popularity", 1) + " ")
    with pytest.raises(BrokenPackage, match="has changed since it was published"):
        published.load(folder)


def test_a_byte_that_changed_in_any_file_of_a_package_is_found(root, publish):
    folder = root.packages / publish("popularity").info.package_id
    for path in sorted(folder.iterdir()):
        raw = path.read_bytes()
        for place in (len(raw) // 3, len(raw) // 2, len(raw) - 2):
            path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
            # Of package.json it may be no JSON any more.
            with pytest.raises(BrokenPackage, match=rf"{path.name} (has changed|cannot be read)"):
                published.load(folder)
        path.write_bytes(raw)
    published.load(folder)


def test_the_current_package_is_no_path(root, publish):
    publish("popularity")
    root.current_package.write_text(json.dumps({"package": "../../elsewhere"}))
    with pytest.raises(BrokenPackage, match="names no package"):
        published.read_current(root)


def test_two_packages_are_kept_and_the_newest_is_current(root, run_job, publish):
    ids = [publish("popularity").info.package_id]
    for top_k in (5, 6, 7):
        run_job("refresh_lists", config={"recommendations": {"top_k": top_k}})
        ids.append(published.read_current(root))
    assert len(set(ids)) == 4
    assert {path.name for path in root.packages.iterdir()} == set(ids[-2:])
    assert json.loads(root.current_package.read_text()) == {"package": ids[-1]}


def test_both_know_the_same_numeric_features():
    assert NUMERIC == NUMERIC_FEATURES


def test_what_was_bought_just_now_is_own_history_at_once(root, run_job, publish):
    write_events(root, "again.csv", range(22, 25))  # everybody comes back to the first items
    run_job("ingest")
    package = publish("own_history", exclude_seen=False)
    first = online(package, [History(3)])["code"].tolist()
    item = first[-1]
    bought = [NewEvent(item, 1, 1_900_000_000_000_000 + place) for place in range(2)]
    then = online(package, [History(3, bought)])["code"].tolist()
    assert then.index(item) < first.index(item)
    newcomers = [History(None, bought[:1]), History(None)]
    nobody = online(package, newcomers)
    assert nobody.loc[nobody["user"] == 0, "code"].iloc[0] == item
    assert nobody.loc[nobody["user"] == 1, "code"].iloc[0] != item
