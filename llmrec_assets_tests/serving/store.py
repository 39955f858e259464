"""Two packages of one small shop, made by the pipeline, and roots that hold copies of them."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from llmrec_assets import published
from llmrec_assets.layout import Layout
from llmrec_assets_tests.who_serves import let_serve

USERS, ITEMS, EVENTS = 1_050, 60, 6
CATEGORIES = ("shoes", "tea", "books")
CONFIG = {
    "temporal_model": {"max_epochs": 1},
    "model_evaluation": {"global_time_split": False},
}


def item(n):
    kind = CATEGORIES[n % 3]
    return f"i{n:02},{('red', 'blue', '绿', 'old')[n % 4]} {kind} {n},{kind},{5 + n}"


def event(user, step):
    """Two of three users stay in one category; ratings, views and purchases."""
    base = user * 7 + step * step * 3
    code = (base // 3 * 3 + user % 3) % ITEMS if user % 9 else base % ITEMS
    time = 1_700_000_000 + user * 400 + step * (900 if step % 3 else 9_000)
    rating = "" if step % 2 else 1 + (user + step) % 5
    return f"u{user:04},i{code:02},{time},{('buy', 'view', 'rate')[(user + step) % 3]},{rating}"


def write_store(layout, steps):
    lines = [event(user, step) for user in range(USERS) for step in steps]
    lines.append("u0003,i07,1700000000,not_interested,")
    (layout.landing_events / f"events-{steps[0]}.csv").write_text(
        "user_id,item_id,timestamp,behavior,rating\n" + "\n".join(lines) + "\n"
    )
    (layout.landing_items / "items.csv").write_text(
        "item_id,title,category,price\n" + "\n".join(item(n) for n in range(ITEMS)) + "\n"
    )


@dataclass(frozen=True)
class Store:
    """Where the packages lie, and their ids, the older first."""

    folder: Path
    ids: list[str]

    def package(self, place=0):
        return published.load(self.folder / self.ids[place])

    def root(self, path, place=0):
        """A data root at `path` that serves one of the packages."""
        layout = Layout(path)
        for folder in (layout.landing_events, layout.landing_items, layout.landing_feedback):
            folder.mkdir(parents=True)
        self.switch(layout, place)
        return layout

    def switch(self, layout, place):
        """Make a package the current one, as the pipeline does."""
        target = layout.packages / self.ids[place]
        if not target.exists():
            partial = layout.packages / ".partial"
            shutil.copytree(self.folder / self.ids[place], partial, copy_function=os.link)
            partial.rename(target)
        hidden = layout.current_package.with_name(".current.json")
        hidden.write_text(json.dumps({"package": self.ids[place]}))
        hidden.replace(layout.current_package)


def make_store(layout, run, folder):
    """Run the pipeline twice; the second time it knows more events."""
    ids = []
    for steps in (range(EVENTS), range(EVENTS, EVENTS + 2)):
        write_store(layout, steps)
        if not ids:
            run(config=CONFIG)
            let_serve(layout)
        else:
            run("ingest")
        run("refresh_lists")
        ids.append(published.read_current(layout))
        shutil.copytree(layout.packages / ids[-1], folder / ids[-1])
    assert len(set(ids)) == 2
    return Store(folder, ids)
