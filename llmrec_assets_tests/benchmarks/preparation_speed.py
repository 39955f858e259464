"""Cleaning and sequences beside polars and pandas: the same tables, in CPU-seconds.

    python -m llmrec_assets_tests.benchmarks.preparation_speed [--events 1e7] [--repeats 3]
        [--without polars]

Needs polars (`pip install polars`), which the product does not. Each side has a process of its own
and every core; it reads the raw events from its own file (DuckDB, Parquet) and writes clean events,
removed events and user sequences to one. That all wrote the same rows is checked. The product also
keeps what the next increment needs and the texts of items and steps, which the others do not. The
sides take turns, and the least of each counts: other work on a machine only ever adds.

The sequence step is held against what it cannot do without: one full sort of the clean events by
user, time and number, written as a table; once of ids alone, once with the words of the histories.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb

from llmrec_assets.core.behaviors import DEFAULT_BEHAVIORS
from llmrec_assets.sql import s2_clean_events, s2_sequences, s2_words
from llmrec_assets.sql.s2_tables import (
    CLEAN,
    CLEAN_EVENTS,
    ITEM_TEXTS,
    ITEMS,
    RAW,
    REMOVED_EVENTS,
    USER_SEQUENCES,
)
from llmrec_assets.sql.shards import WHOLE, ShardedWork
from llmrec_assets_tests.benchmarks.cpu import cpu_seconds
from llmrec_assets_tests.benchmarks.generated_events import Shop, fill_raw, fill_raw_items
from llmrec_assets_tests.benchmarks.increments import READING, RULES
from llmrec_assets_tests.benchmarks.preparation_peers import by_pandas, by_polars

PEERS = {"polars": by_polars, "pandas": by_pandas}
BOTS = {
    "bot_one_item_share": s2_clean_events.BOT_ONE_ITEM_SHARE,
    "bot_one_item_events": s2_clean_events.BOT_ONE_ITEM_EVENTS,
}
WRITTEN = {"clean": CLEAN_EVENTS, "removed": REMOVED_EVENTS, "sequences": USER_SEQUENCES}

# What the sequence step sorts; the second also carries what the text of a history is made of.
SORTED = f"select user_id, time, seq, item_id, behavior from {CLEAN} order by user_id, time, seq"
SORTED_WITH_WORDS = f"""
select user_id, time, known.seq, item_id, behavior, coalesce(word, behavior) || ' ' || title as text
from {CLEAN} as known join {ITEM_TEXTS.full_name} using (item_id) left join words using (behavior)
order by user_id, time, known.seq
"""


@dataclass
class Timed:
    """Fills tables as one shard, and notes what each took."""

    spent: dict[str, float] = field(default_factory=dict)

    def __call__(self, connection: duckdb.DuckDBPyConnection, work: ShardedWork) -> None:
        """Add the rows of the query."""
        self.spent[work.target] = cpu_seconds(lambda: WHOLE(connection, work))


def write_raw(folder: Path, events: int) -> None:
    """The same raw events and items for all, in the file that each reads."""
    shop = Shop(events)
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        fill_raw(connection, shop.log())
        fill_raw_items(connection, shop)
        s2_words.register_words(connection, DEFAULT_BEHAVIORS, "en")
        columns = "* exclude (text, context, file_hash, line)"
        connection.sql(f"select {columns} from {RAW}").write_parquet(str(folder / "raw.parquet"))
        items = connection.sql(f"select item_id, title from {ITEMS}")
        items.write_parquet(str(folder / "items.parquet"))
        words = connection.sql("select behavior, word, weight, positive from words")
        words.write_parquet(str(folder / "words.parquet"))


def prepare(folder: Path, rules: dict[str, Any]) -> dict[str, float]:
    """What the product does, in two transactions as its assets are; CPU-seconds by step."""
    timed = Timed()
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("set timezone = 'UTC'")

        def clean() -> None:
            connection.begin()
            s2_words.register_words(connection, DEFAULT_BEHAVIORS, "en")
            s2_clean_events.clean(connection, **rules, rebuild=True)
            connection.commit()

        def build() -> None:
            connection.begin()
            s2_sequences.build_sequences(connection, "en", **READING, fill=timed, rebuild=True)
            connection.commit()

        spent = {"cleaning": cpu_seconds(clean), "sequences": cpu_seconds(build)}
        spent["all"] = sum(spent.values())
        spent["sequence step"] = timed.spent[USER_SEQUENCES.full_name]
        for name, query in (("sort", SORTED), ("sort with words", SORTED_WITH_WORDS)):
            table = f"create or replace table one_sort as {query}"
            spent[name] = cpu_seconds(lambda table=table: connection.execute(table))
    return spent


def fingerprints(connection: duckdb.DuckDBPyConnection, folder: Path | None) -> dict[str, Any]:
    """Of each table its rows and their hashes in any order: of the product, or of a folder's files.

    A column that a peer did not write counts as null.
    """
    found = {}
    for name, table in WRITTEN.items():
        source = table.full_name
        if folder is not None:
            path = str(folder / f"{name}.parquet")
            source = f"read_parquet('{path}')"
        columns = ", ".join(f"{column.name}::{column.type}" for column in table.columns)
        found[name] = connection.execute(
            f"select count(*), bit_xor(content), sum(content::hugeint)"
            f" from (select hash({columns}) as content from {source})"
        ).fetchall()[0]
    return found


def measure(side: str, folder: Path) -> dict[str, float]:
    """CPU-seconds and peak memory of one side, in this process."""
    if side == "product":
        spent = prepare(folder, RULES)
    else:
        spent = {"all": cpu_seconds(lambda: PEERS[side](folder, {**RULES, **BOTS}))}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**spent, "peak MB": peak}


def _in_a_process(side: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", __spec__.name, "--one", side, "--folder", str(folder)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(printed)


def main(events: int, sides: list[str], repeats: int, folder: Path) -> None:
    """Print what each side took, and the ratios."""
    write_raw(folder, events)
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in ("product", *sides)}
    for _ in range(repeats):
        for side in runs:
            runs[side].append(_in_a_process(side, folder))
            _require_the_same_rows(side, folder)
    least = {side: min(found, key=lambda spent: spent["all"]) for side, found in runs.items()}
    own = least["product"]
    print(f"{'':<10}{'CPU-s':>8}{'ratio':>8}{'peak MB':>9}  every run")
    for side, spent in least.items():
        every = " ".join(f"{found['all']:.1f}" for found in runs[side])
        print(f"{side:<10}{spent['all']:>8.2f}{own['all'] / spent['all']:>8.2f}"
              f"{spent['peak MB']:>9,.0f}  {every}")  # fmt: skip
    print(f"cleaning {own['cleaning']:.2f}, sequences and texts {own['sequences']:.2f} CPU-s")
    for floor in ("sort", "sort with words"):
        share = own[floor] / own["sequence step"]
        print(f"{floor} {own[floor]:.2f} CPU-s: {share:.2f} of the sequence step,"
              f" {own['sequence step']:.2f}")  # fmt: skip


def _require_the_same_rows(side: str, folder: Path) -> None:
    """That a peer, which has just written its files, wrote what the product did."""
    if side == "product":
        return
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        wanted, written = fingerprints(connection, None), fingerprints(connection, folder)
    different = [name for name in WRITTEN if written[name] != wanted[name]]
    assert not different, f"{side} wrote other rows: {', '.join(different)}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=lambda text: int(float(text)), default=10_000_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--without", nargs="*", choices=list(PEERS), default=[])
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--one", choices=["product", *PEERS], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not given.one and "polars" not in given.without and find_spec("polars") is None:
        parser.error("polars is not installed: pip install polars, or --without polars")
    return given


if __name__ == "__main__":
    given = _arguments()
    if given.one:
        print(json.dumps(measure(given.one, given.folder)))
    else:
        with tempfile.TemporaryDirectory() as root:
            sides = [side for side in PEERS if side not in given.without]
            main(given.events, sides, given.repeats, Path(root))
