"""How stage 2 names behaviours: the dictionary as a table, and the language of a shop."""

import duckdb
import pyarrow as pa

from llmrec_assets.core.behaviors import Behavior, word
from llmrec_assets.sql.s2_tables import ITEMS

TITLES_ARE_CHINESE = f"""
select coalesce(avg(regexp_matches(title, '[\\x{{4e00}}-\\x{{9fff}}]')::int), 0) > 0.5 as chinese
from {ITEMS} where title is not null
"""


def register_words(
    connection: duckdb.DuckDBPyConnection, behaviors: dict[str, Behavior], language: str
) -> None:
    """Make the temporary table `words` of the dictionary: behavior, word and how it counts."""
    rows = pa.table(
        {
            "behavior": list(behaviors),
            "word": [word(name, language, behaviors) for name in behaviors],
            "weight": [b.weight for b in behaviors.values()],
            "positive": [b.positive for b in behaviors.values()],
            "role": [b.role for b in behaviors.values()],
            "value": [b.value for b in behaviors.values()],
            "hides": [b.hides for b in behaviors.values()],
        }
    )
    connection.register("dictionary", rows)
    connection.execute("create or replace temp table words as from dictionary")
    connection.unregister("dictionary")


def detect_language(connection: duckdb.DuckDBPyConnection) -> str:
    """`zh` when most titles hold Chinese characters, else `en`."""
    return "zh" if connection.execute(TITLES_ARE_CHINESE).fetchall()[0][0] else "en"
