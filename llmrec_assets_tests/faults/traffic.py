"""What a shop drops into the landing zone, round by round, and what must have become of it."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pandas as pd

from llmrec_assets.layout import Layout

USERS, ITEMS, FIRST_STEPS, STEPS = 8, 7, 5, 2
COLUMNS = "event_id,user_id,item_id,timestamp,behavior"


@dataclass
class Traffic:
    """Everything dropped so far."""

    layout: Layout
    events: set[str] = field(default_factory=set)
    feedback: set[str] = field(default_factory=set)
    clicks: set[str] = field(default_factory=set)
    batches: int = 0

    def drop_events(self) -> None:
        """A file of new events of every user."""
        steps = STEPS if self.batches else FIRST_STEPS
        start = datetime.now(UTC) - timedelta(days=30) + timedelta(hours=self.batches * 10)
        rows = [COLUMNS]
        for user in range(USERS):
            for step in range(steps):
                name = f"e{self.batches}-{user}-{step}"
                item = (user + 2 * step + 3 * self.batches) % ITEMS
                at = (start + timedelta(hours=step)).isoformat()
                rows.append(f"{name},u{user},i{item},{at},browse")
                self.events.add(name)
        drop(self.layout.landing_events / f"events-{self.batches:04}.csv", "\n".join(rows) + "\n")
        self.batches += 1

    def answers(self) -> list[str]:
        """A shown and a clicked slot of every published list, a line of JSON each."""
        lists = pd.read_parquet(self.layout.recommendations)
        first = lists[lists["rank"] == 1]
        now, lines = datetime.now(UTC).isoformat(), []
        for slot in first[["list_id", "user_id", "item_id"]].to_dict("records"):
            for response in ("impression", "click"):
                name = f"f{self.batches}-{slot['user_id']}-{response}"
                row = slot | {"rank": 1, "timestamp": now}
                lines.append(json.dumps(row | {"feedback_id": name, "response": response}))
                self.feedback.add(name)
                if response == "click":
                    self.clicks.add(f"feedback:{name}")
        return lines

    def drop_feedback(self, lines: list[str], name: str = "answers") -> None:
        """A file of feedback."""
        text = "\n".join(lines) + "\n"
        drop(self.layout.landing_feedback / f"{name}-{self.batches:04}.jsonl", text)


def drop(path, text: str) -> None:
    """Write a file as a careful service does: hidden first, then renamed."""
    hidden = path.with_name(f".{path.name}")
    hidden.write_text(text, encoding="utf-8")
    hidden.rename(path)
