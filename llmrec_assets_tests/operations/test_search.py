"""The search for a user reads every kind of file as what it is."""

import gzip
import json
import sqlite3
import zlib

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llmrec_assets.instance import prepare
from llmrec_assets.operations.search import find_below, namer

MARKED = 'marked"user⟂𝟟f3a'


@pytest.mark.parametrize(
    "cell",
    [
        f"about {MARKED}.",
        json.dumps([MARKED]),
        json.dumps({"told": json.dumps({"user": json.dumps(MARKED)})}),
        MARKED.encode(),
        zlib.compress(json.dumps(MARKED).encode()),
        gzip.compress(MARKED.encode()),
    ],
    ids=["text", "json", "json in json", "bytes", "zlib", "gzip"],
)
def test_an_id_is_found_in_whatever_form(cell):
    assert namer(MARKED)(cell) == 1


@pytest.mark.parametrize("cell", [f"{MARKED}x", f"a{MARKED}", "markeduser", b"\xff\xfe", 7, ""])
def test_a_part_of_a_longer_id_is_none(cell):
    assert namer(MARKED)(cell) == 0


def test_dagsters_store_is_read_as_what_it_is(root):
    prepare(root)
    with dg.DagsterInstance.from_config(str(root.dagster_home)) as instance:
        instance.report_runless_asset_event(
            dg.AssetMaterialization("told", metadata={"sample": dg.MetadataValue.md(MARKED)})
        )
    places = find_below(root.dagster_home, MARKED)
    assert any("event_logs.event" in place for place in places), places


def test_compressed_cells_and_arrays_are_unpacked(tmp_path):
    with sqlite3.connect(tmp_path / "some.db") as connection:
        connection.execute("create table snapshots (body)")
        connection.execute("insert into snapshots values (?)", [zlib.compress(MARKED.encode())])
    np.savez_compressed(tmp_path / "ids.npz", ids=np.frombuffer(MARKED.encode(), np.uint8))
    assert find_below(tmp_path, MARKED) == {"ids.npz: ids.npy": 1, "some.db: snapshots.body": 1}


def test_columns_within_columns_are_read(tmp_path):
    table = pa.table({"told": [{"who": MARKED, "to": ["x"]}], "raw": [MARKED.encode()]})
    pq.write_table(table.append_column("to", [[[MARKED]]]), tmp_path / "nested.parquet")
    assert set(find_below(tmp_path, "f3a")) == set()
    found = find_below(tmp_path, 'marked"user⟂𝟟f3a')
    assert {place.rpartition(".")[2] for place in found} >= {"told", "to"}


def test_a_broken_file_is_read_as_bytes(tmp_path):
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 " + MARKED.encode())
    packed = gzip.compress(f"{MARKED} {MARKED} ".encode())
    (tmp_path / "cut.csv.gz").write_bytes(packed[:-9])
    (tmp_path / "parts.csv.gz").write_bytes(packed * 2)
    assert find_below(tmp_path, MARKED) == {"cut.parquet": 1, "cut.csv.gz": 2, "parts.csv.gz": 4}
