"""All that a store holds on one user, as one JSON file."""

from pathlib import Path

import pandas as pd

from llmrec_assets.layout import Layout
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import persons


def export_user(layout: Layout, user: str, target: Path) -> dict[str, int]:
    """Write `target`: table → the user's rows; how many of each table."""
    warehouse = Warehouse(path=str(layout.warehouse))
    with warehouse.connect() as connection:
        rows = persons.rows_of_user(connection, warehouse.known_as(user))
    whole = pd.Series({table: frame.to_dict("records") for table, frame in rows.items()})
    text = whole.to_json(force_ascii=False, date_format="iso", indent=1) if len(whole) else "{}"
    target.touch(mode=0o600)
    target.chmod(0o600)
    target.write_text(str(text) + "\n", encoding="utf-8")
    return {table: len(frame) for table, frame in rows.items()}
