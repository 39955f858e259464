"""What every table shows of itself in the Dagster UI: schema, rows, lineage and a preview."""

from typing import Any

import dagster as dg
import duckdb
import pandas as pd

from llmrec_assets.sql import builds
from llmrec_assets.sql.fingerprints import Fingerprint, fingerprint
from llmrec_assets.sql.tables import Table

PREVIEW_ROWS = 5


def static_metadata(table: Table) -> dict[str, Any]:
    """Metadata of the definition: column schema and column lineage."""
    return {
        "dagster/column_schema": table_schema(table),
        "dagster/column_lineage": column_lineage(table),
        "dagster/table_name": table.full_name,
    }


def table_schema(table: Table) -> dg.TableSchema:
    """The columns with their descriptions."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(column.name, column.type, column.description) for column in table.columns
        ]
    )


def column_lineage(table: Table) -> dg.TableColumnLineage:
    """Which columns of which assets each column is computed from.

    A table is named after its asset, so `schema.table.column` names the asset's column.
    """
    return dg.TableColumnLineage(
        {
            column.name: [
                dg.TableColumnDep(dg.AssetKey(asset), source)
                for _, asset, source in (name.split(".") for name in column.sources)
            ]
            for column in table.columns
            if column.sources
        }
    )


def run_metadata(
    connection: duckdb.DuckDBPyConnection, table: Table, content: Fingerprint | None = None
) -> dict[str, Any]:
    """Metadata of one materialisation: rows, fingerprint and a preview without private columns.

    `content`: the fingerprint, where it is known without reading the table.
    """
    shown = ", ".join(column.name for column in table.columns if not column.private)
    head = connection.execute(f"select {shown} from {table.full_name} limit ?", [PREVIEW_ROWS]).df()
    return {
        "dagster/row_count": table.count(connection),
        "fingerprint": str(content or fingerprint(connection, table)),
        "dagster/column_lineage": column_lineage(table),  # the UI reads it here
        "preview": dg.MetadataValue.md(markdown(head)),
    }


def build_metadata(connection: duckdb.DuckDBPyConnection, table: Table) -> dict[str, Any]:
    """The same of a table that was just brought up to date, and how it was."""
    build = builds.last_build(connection, table)
    told = run_metadata(connection, table, build and build.content)
    return told | builds.metadata(connection, table)


def markdown(frame: pd.DataFrame) -> str:
    """The frame as a markdown table; long cells are cut."""

    def cell(value: object) -> str:
        text = str(value).replace("|", "\\|").replace("\n", " ")
        return text if len(text) <= 60 else text[:59] + "…"

    header = "| " + " | ".join(frame.columns) + " |\n|" + " --- |" * len(frame.columns)
    rows = ["| " + " | ".join(map(cell, row)) + " |" for row in frame.itertuples(index=False)]
    return "\n".join([header, *rows])
