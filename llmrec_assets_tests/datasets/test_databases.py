"""Rows of a query on a database come in like those of a file."""

import sqlite3

import duckdb
import pandas as pd
import pytest
from click.testing import CliRunner

from llmrec_assets.cli import main
from llmrec_assets.datasets.databases import fetch
from llmrec_assets.datasets.importing import ImportProblem

TABLE = "create table log (customer text, sku bigint, born bigint, stars double, note text)"
ROWS = """insert into log values
    ('007', 12345678901234567, 1700000000, 4.5, 'ok'), (null, 2, 3, null, null)"""


@pytest.fixture(params=["sqlite", "duckdb"])
def source(request, tmp_path):
    path = tmp_path / f"it's a shop.{request.param}"
    opened = sqlite3.connect(path) if request.param == "sqlite" else duckdb.connect(str(path))
    opened.execute(TABLE)
    opened.execute(ROWS)
    opened.commit()
    opened.close()
    return path


def landed(root):
    return pd.read_parquet(next(root.landing_events.glob("*.parquet")))


def test_rows_come_in_once_their_columns_are_confirmed(root, source, monkeypatch):
    monkeypatch.setenv("LLMREC_DATA_DIR", str(root.root))

    def llmrec(*arguments):
        query = "select customer, sku, born, stars from log where customer is not null"
        return CliRunner().invoke(
            main, ["import", "database", str(source), "--query", query, *arguments]
        )

    shown = llmrec("--map", "timestamp=born", "--behavior", "buy")
    assert "user_id      ← customer   (guessed)" in shown.output
    assert not list(root.landing_events.iterdir())
    for _ in range(2):
        done = llmrec("--map", "timestamp=born", "--behavior", "buy", "--yes")
        assert done.exit_code == 0, done.output
    assert len(list(root.landing_events.iterdir())) == 1, "the same query is the same file"
    row = landed(root).astype(str).iloc[0]
    assert row[["user_id", "item_id", "timestamp", "rating", "behavior"]].tolist() == [
        "007", "12345678901234567", "1700000000", "4.5", "buy",
    ]  # fmt: skip


def test_a_source_is_only_read(source, tmp_path):
    with pytest.raises(ImportProblem, match=r"cannot be answered|has no rows"):
        fetch(str(source), "delete from log", tmp_path / "out.parquet")
    fetch(str(source), "select * from log", tmp_path / "out.parquet")
    assert len(pd.read_parquet(tmp_path / "out.parquet")) == 2


def test_wrong_sources_and_queries_are_told_without_passwords(source, tmp_path):
    target = tmp_path / "out.parquet"
    with pytest.raises(ImportProblem, match=r"no such|does not exist"):
        fetch(str(source), "select * from logs", target)
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(ImportProblem, match="neither a SQLite nor a DuckDB file"):
        fetch(str(tmp_path / "a.txt"), "select 1", target)
    with pytest.raises(ImportProblem, match="is no file, and no URL that begins with postgres://"):
        fetch("oracle://me:secret@host/db", "select 1", target)
    with pytest.raises(ImportProblem) as told:
        fetch("postgres://me:secret@127.0.0.1:1/db", "select 1", target)
    assert "secret" not in str(told.value)
