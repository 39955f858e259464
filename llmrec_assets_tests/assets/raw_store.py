"""A data root whose stage 1 is run through Dagster, and what came of it."""

import dagster as dg

from llmrec_assets.assets import s1_item_checks, s1_raw_events
from llmrec_assets.resources.landing import Landing
from llmrec_assets.resources.warehouse import Warehouse

HEADER = "user_id,item_id,timestamp,behavior\n"
ASSETS = [
    s1_raw_events.raw_events,
    s1_raw_events.raw_items,
    s1_raw_events.rejected_events,
    s1_raw_events.raw_events_exist,
    s1_raw_events.rejections_are_few,
    s1_raw_events.time_is_of_one_kind,
    s1_raw_events.newest_file_is_as_usual,
    s1_item_checks.newest_items_are_as_usual,
    s1_item_checks.items_of_events_are_described,
]


class RawStore:
    """One data root."""

    def __init__(self, root):
        self.root = root
        self.warehouse = Warehouse(path=str(root / "w.duckdb"))
        self.landing = Landing(root=str(root), settle_seconds=0)

    def put(self, name, content, kind="events"):
        path = self.landing.folder(kind) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def run(self):
        """Ingest; metadata by asset, and which checks passed."""
        result = dg.materialize(
            ASSETS,
            resources={"warehouse": self.warehouse, "landing": self.landing},
            raise_on_error=False,
        )
        metadata = {
            event.asset_key.to_user_string(): {k: v.value for k, v in event.metadata.items()}
            for node in ("raw_events", "raw_items", "rejected_events")
            for event in result.asset_materializations_for_node(node)
        }
        checks = {e.check_name: e for e in result.get_asset_check_evaluations()}
        return metadata, checks

    def rows(self, columns="*", table="raw_events", order="seq"):
        query = f"select {columns} from s1_raw_events.{table} order by {order}"
        with self.warehouse.connect() as connection:
            return connection.execute(query).fetchall()

    def accounts(self):
        with self.warehouse.connect() as connection:
            files = connection.execute(
                """select name, rows, accepted, duplicates, rejected from s1_raw_events.files
                order by ingested_at"""
            ).fetchall()
        assert all(rows == sum(parts) for _, rows, *parts in files)
        return files

    def rejections(self):
        return self.rows("file, line, reason", "rejected_events", "file, line")
