"""The study of the loop in SQL: true utilities of its lists and of others, by cycle."""

import duckdb
import pandas as pd

from llmrec_assets.sql.studies import SCHEMA
from llmrec_assets.sql.tables import Column, Table

LOOP_UTILITY = Table(
    SCHEMA,
    "loop_utility",
    (
        Column("parameters", "varchar", "Of the simulated users: tuning or held_out."),
        Column("seed", "integer", "Of the users' tastes and answers, and of the loop."),
        Column("cycle", "integer", "From 0: the first lists."),
        Column("arm", "varchar", "Who recommends: loop; frozen, what served first, over the newest"
               " histories; refreshed, the same with everything counted anew; popularity;"
               " recent_popularity; oracle, who knows the tastes."),
        Column("utility", "double", "Wanted clicks that a list is expected to get, by the truth;"
               " mean over users."),
        Column("works", "varchar", "Jobs that the sensors asked for before these lists."),
        Column("outcome", "varchar", "Of the gate, newest decision."),
        Column("served", "varchar", "Who made the loop's lists."),
        Column("cpu_seconds", "double", "Of the cycle, all arms.", clock=True),
    ),
    primary_key=("parameters", "seed", "cycle", "arm"),
)  # fmt: skip


def record_cycles(connection: duckdb.DuckDBPyConnection, rows: pd.DataFrame) -> None:
    """Make `rows` all that is known of simulated loops."""
    connection.register("measured", rows)
    LOOP_UTILITY.replace(connection, "from measured order by parameters, seed, cycle, arm")
    connection.unregister("measured")
