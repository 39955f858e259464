"""DuckDB takes no more memory than it is given, and goes on beside the file."""

import pytest

from llmrec_assets.resources.duckdb_limits import memory_limit
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.settings import SettingError


@pytest.mark.parametrize("text", ["much", "0GB", "4", "-1GB", "4GB; drop table x"])
def test_what_is_no_size_is_refused_by_name(monkeypatch, text):
    monkeypatch.setenv("LLMREC_DUCKDB_MEMORY", text)
    with pytest.raises(SettingError, match=r"LLMREC_DUCKDB_MEMORY=.*4GB or 50%"):
        memory_limit()


def test_a_sort_that_does_not_fit_spills(monkeypatch, tmp_path):
    monkeypatch.setenv("LLMREC_DUCKDB_MEMORY", "60MB")
    with Warehouse(path=str(tmp_path / "w.duckdb")).connect() as connection:
        (told,) = connection.execute("select current_setting('memory_limit')").fetchall()[0]
        assert told == "57.2 MiB"
        query = "from range(4000000) t(i) select hash(i) as h, i order by h"
        connection.execute(f"create table sorted as {query}")
        assert connection.execute("select count(*) from sorted").fetchall() == [(4_000_000,)]
        backwards = (
            "select count(*) from (select h < lag(h) over (order by rowid) as less from sorted)"
        )
        assert connection.execute(f"{backwards} where less").fetchall() == [(0,)]
