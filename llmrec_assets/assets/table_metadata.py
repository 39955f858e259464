"""What every table shows of itself in the Dagster UI: schema, rows, lineage and a preview."""

from typing import Any

import dagster as dg
import duckdb
import pandas as pd

from llmrec_assets.sql.tables import Table

PREVIEW_ROWS = 5


def static_metadata(table: Table, *upstream: dg.AssetsDefinition | dg.AssetSpec) -> dict[str, Any]:
    """Metadata of the definition: column schema and column lineage.

    `upstream` are the assets whose columns `Column.sources` may name; sources in other tables of
    the same stages (ledgers, vocabularies) have no asset and are left out of the lineage.
    """
    keys = {asset.key.to_user_string(): asset.key for asset in upstream}
    lineage = {
        column.name: [
            dg.TableColumnDep(keys[asset], source)
            for asset, source in (name.split(".")[1:] for name in column.sources)
            if asset in keys
        ]
        for column in table.columns
    }
    return {
        "dagster/column_schema": dg.TableSchema(
            columns=[
                dg.TableColumn(column.name, column.type, column.description)
                for column in table.columns
            ]
        ),
        "dagster/column_lineage": dg.TableColumnLineage(
            {name: deps for name, deps in lineage.items() if deps}
        ),
        "dagster/table_name": table.full_name,
    }


def run_metadata(connection: duckdb.DuckDBPyConnection, table: Table) -> dict[str, Any]:
    """Metadata of one materialisation: the number of rows and a preview without private columns."""
    shown = ", ".join(column.name for column in table.columns if not column.private)
    head = connection.execute(f"select {shown} from {table.full_name} limit ?", [PREVIEW_ROWS]).df()
    return {
        "dagster/row_count": table.count(connection),
        "preview": dg.MetadataValue.md(markdown(head)),
    }


def markdown(frame: pd.DataFrame) -> str:
    """The frame as a markdown table; long cells are cut."""

    def cell(value: object) -> str:
        text = str(value).replace("|", "\\|").replace("\n", " ")
        return text if len(text) <= 60 else text[:59] + "…"

    header = "| " + " | ".join(frame.columns) + " |\n|" + " --- |" * len(frame.columns)
    rows = ["| " + " | ".join(map(cell, row)) + " |" for row in frame.itertuples(index=False)]
    return "\n".join([header, *rows])
