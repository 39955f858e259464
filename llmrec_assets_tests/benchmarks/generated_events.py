"""Events and items of any number, made in SQL out of hashes: the same rows for the same seed.

Nothing is drawn in Python, so 1e8 events need no more memory than DuckDB is given. Items are as
skewed as ranks of a Zipf law with exponent 1, users less so; ids are text; a third of the events
has a rating or a value; some are repeats, impressions or lie in the future, so that cleaning has
work to do.
"""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from llmrec_assets.sql.s1_files import create_tables
from llmrec_assets.sql.s1_tables import RAW_EVENTS, RAW_ITEMS

FIRST_SECOND = 1_704_067_200  # 1 January 2024, UTC

# One draw in [0, 1) for each number and salt. Hashes of rows that differ in their last value alone
# resemble each other, so the row's hash is hashed once more with the salt.
_DRAW = "(hash(xor(hash($seed, n), {}::ubigint)) / 18446744073709551616.0)"

EVENTS = f"""
with drawn as (
    select n, {_DRAW.format(1)} as of_user, {_DRAW.format(2)} as of_item,
        {_DRAW.format(3)} as of_kind,
        {_DRAW.format(4)} as of_value, {_DRAW.format(5)} as within, {_DRAW.format(6)} as odd
    from range($first::bigint, $first::bigint + $events::bigint) as numbers(n)
), repeated as (
    -- One event in fifty tells again what another did, without an id of its own.
    select n, if(odd < 0.02, greatest(n - 1, $first), n) as told from drawn
)
select 'e' || repeated.n as event_id,
    'user-' || lpad((floor($users * pow(of_user, $skew))::bigint)::varchar, 8, '0') as user_id,
    'item-' || lpad((floor(exp(of_item * ln($items)))::bigint)::varchar, 8, '0') as item_id,
    make_timestamp(($from_second::bigint + (within * $seconds)::bigint) * 1000000)
        + to_days(if(of_kind > 0.999, 36500, 0)) as timestamp,
    case when of_kind < 0.60 then 'view' when of_kind < 0.82 then 'click'
        when of_kind < 0.90 then 'cart' when of_kind < 0.96 then 'buy'
        when of_kind < 0.98 then 'rate' else 'impression' end as behavior,
    case when of_kind between 0.96 and 0.98 then floor(1 + 5 * of_value) end as rating,
    case when of_kind < 0.30 then round(-60 * ln(1 - of_value), 1) end as value
from repeated join drawn on drawn.n = repeated.told
"""

ITEMS = """
select 'item-' || lpad(n::varchar, 8, '0') as item_id,
    'Thing ' || (hash(n) % 5000) || ' of kind ' || (hash(n, 7) % 400) as title,
    'kind ' || (hash(n, 7) % 400) as category
from range(1, $items::bigint + 1) as numbers(n)
"""


@dataclass(frozen=True)
class Shop:
    """How much there is of a generated log. Users and items grow with the events."""

    events: int
    seed: int = 7
    days: int = 180

    @property
    def users(self) -> int:
        """25 events a user in the mean."""
        return max(100, self.events // 25)

    @property
    def items(self) -> int:
        """One for 20 events, at most 200,000."""
        return max(50, min(200_000, self.events // 20))

    def log(self) -> dict[str, float]:
        """The values of `EVENTS` for the whole log."""
        return self._values(first=1, events=self.events, users=self.users, day=0, days=self.days)

    def day(self, share: float, number: int = 0, even: bool = False) -> dict[str, float]:
        """The values for a day after the log, on which about this share of the users come.

        One event each, by the same law: who did much before is likelier to come, unless `even`.
        `number` tells such days apart.
        """
        first = self.events + 1 + number * self.users
        events, day = max(1, int(self.users * share)), self.days + number
        values = self._values(first=first, events=events, users=self.users, day=day, days=1)
        return values | {"skew": 1.0} if even else values

    def _values(self, first: int, events: int, users: int, day: int, days: int) -> dict[str, float]:
        return {
            "seed": self.seed,
            "first": first,
            "events": events,
            "users": users,
            "items": self.items,
            "skew": 1.6,
            "from_second": FIRST_SECOND + day * 86_400,
            "seconds": days * 86_400,
        }


def write_events(folder: Path, shop: Shop, files: int = 1) -> list[Path]:
    """Write the log as Parquet files of equal size; where they lie."""
    folder.mkdir(parents=True, exist_ok=True)
    values, paths = shop.log(), []
    size = -(-shop.events // files)
    with duckdb.connect() as connection:
        for place in range(files):
            path = folder / f"part-{place:04d}.parquet"
            part = {"first": 1 + place * size, "events": min(size, shop.events - place * size)}
            relation = connection.sql(EVENTS, params=values | part)
            relation.write_parquet(str(path))
            paths.append(path)
    return paths


def write_items(path: Path, shop: Shop) -> None:
    """Write the items as one Parquet file."""
    with duckdb.connect() as connection:
        connection.sql(ITEMS, params={"items": shop.items}).write_parquet(str(path))


def fill_raw(connection: duckdb.DuckDBPyConnection, values: dict[str, float]) -> None:
    """Add generated events to raw_events, as if a file had come in when the last one was over."""
    create_tables(connection)
    connection.execute(
        f"""insert into {RAW_EVENTS.full_name} by name
        select (select coalesce(max(seq), 0) from {RAW_EVENTS.full_name})
                + row_number() over (order by n) as seq, events.* exclude (n),
            hash(n, 3) % 50 <> 0 as own_event_id, 'generated' as file_hash, n as line,
            make_timestamp(($from_second::bigint + $seconds) * 1000000) as ingested_at
        from (select substr(event_id, 2)::bigint as n, * from ({EVENTS})) as events""",
        values,
    )


def fill_raw_items(connection: duckdb.DuckDBPyConnection, shop: Shop) -> None:
    """Add the generated items to raw_items."""
    create_tables(connection)
    connection.execute(
        f"""insert into {RAW_ITEMS.full_name} by name
        select *, row_number() over (order by item_id) as seq, 'generated' as file_hash
        from ({ITEMS})""",
        {"items": shop.items},
    )
