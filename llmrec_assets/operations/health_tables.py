"""The DuckDB file: whether it can be opened and read to its end, and which version it has."""

import re
from collections.abc import Iterator

import duckdb
import psutil

from llmrec_assets.layout import Layout
from llmrec_assets.operations.findings import Finding
from llmrec_assets.resources.warehouse import MOVE_LOG, RESTORE
from llmrec_assets.sql.migrations import MIGRATIONS, version_of

_MOST_LOG = 256 << 20  # bytes


def warehouse(layout: Layout) -> Iterator[Finding]:
    """Whether the file can be read, and whether its tables are of this code's version."""
    if not layout.warehouse.is_file():
        yield Finding("warehouse", True, "not there yet: llmrec run makes it")
        return
    if not layout.warehouse.stat().st_size:
        yield Finding("warehouse", False, f"{layout.warehouse.name} is empty", RESTORE)
        return
    try:
        with duckdb.connect(str(layout.warehouse), read_only=True) as connection:
            version = version_of(connection)
            tables = connection.execute(
                "select schema_name, table_name from duckdb_tables() where not internal"
            ).fetchall()
            for schema, table in tables:
                # Every value: a count would be answered from statistics.
                connection.execute(f'select bit_xor(hash(columns(*))) from "{schema}"."{table}"')
    except duckdb.Error as error:
        yield _trouble(layout, str(error))
        return
    yield Finding("warehouse", True, f"{len(tables)} tables can be read")
    yield _schema(version)


def _schema(version: int | None) -> Finding:
    newest = len(MIGRATIONS)
    if version is None or version == newest:
        return Finding("schema", True, f"version {newest}")
    if version > newest:
        return Finding(
            "schema",
            False,
            f"version {version}, this code knows {newest}",
            "install the newer llmrec-assets that wrote it, or llmrec restore a backup of before",
        )
    says = f"version {version}: the next run brings it to {newest} (llmrec backup first)"
    return Finding("schema", True, says)


def _trouble(layout: Layout, said: str) -> Finding:
    first = said.splitlines()[0]
    if "set lock" in said:
        holder = re.search(r"PID (\d+)", said)
        who = _process(int(holder[1])) if holder else "another process"
        return Finding("warehouse", False, f"held by {who}", "wait for it, or end it")
    if "Permission denied" in said:
        return Finding("warehouse", False, first, "chown or chmod it to the user that runs llmrec")
    remedy = MOVE_LOG if "WAL" in said else RESTORE
    return Finding("warehouse", False, f"{layout.warehouse.name}: {first}", remedy)


def _process(pid: int) -> str:
    try:
        return f"process {pid} ({psutil.Process(pid).name()})"
    except psutil.Error:
        return f"process {pid}"


def log(layout: Layout) -> Iterator[Finding]:
    """DuckDB's log beside the file: a killed process leaves one."""
    path = layout.warehouse.with_name(f"{layout.warehouse.name}.wal")
    size = path.stat().st_size if path.is_file() else 0
    yield Finding(
        "log",
        size <= _MOST_LOG,
        f"{size / (1 << 20):.1f} MB wait in {path.name}" if size else "nothing waits in a log",
        "llmrec run, or llmrec backup, folds it into the file; if it grows, a program holds it",
    )
