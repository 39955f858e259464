"""What has changed since the last build: in the raw events, and in the clean ones.

The raw events are compared by blocks of consecutive sequence numbers: a hash of every block is
kept, and only blocks that differ are looked into, row by row. So whoever adds, replaces, takes back
or erases events, or learns what caused one, has nothing to report. A row in place of another one
has a new number; of the rows of the same number all that cleaning keeps is compared.

A build of clean_events leaves word of the users it touched and of the events that came or went.
Later tables read both from the build on that they know; what is made of each row alone, from which
rows were made or changed.
"""

from dataclasses import dataclass, replace

import duckdb

from llmrec_assets.sql import builds
from llmrec_assets.sql.builds import Build
from llmrec_assets.sql.fingerprints import Fingerprint, Followed
from llmrec_assets.sql.s2_tables import (
    CHANGED_EVENTS,
    CLEAN,
    CLEAN_EVENTS,
    MOVED_EVENTS,
    RAW,
    RAW_BLOCKS,
    REMOVED_EVENTS,
    TOUCHED_USERS,
)
from llmrec_assets.sql.shards import BELONGS
from llmrec_assets.sql.tables import Table

BUILDS_KEPT = 100  # of which it is known what they touched; who is further behind is built whole

# Rows of one user of `touched_users`, beside `BELONGS`.
IS_TOUCHED = "user_id in (select user_id from touched_users)"

# Hashed twice: what two rows exchange in the last column would cancel out in the first hash.
BLOCKS = f"""
select seq >> 12 as block, count(*) as rows, bit_xor(hash(hash(seq, user_id, item_id, timestamp,
    step, behavior, rating, value, session_id, text, caused_by, own_event_id, ingested_at)
    )) as content
from {RAW} group by block
"""

CHANGED_BLOCKS = f"""
select block from blocks full join {RAW_BLOCKS.full_name} as known using (block)
where blocks.content is distinct from known.content or blocks.rows is distinct from known.rows
"""

_KEPT = "item_id, timestamp, behavior, rating, value, session_id, caused_by"

MOVED = "seq, user_id, item_id, behavior, time"  # what later tables are told of an event

# Of a removed event nothing is kept but its user: it is taken to be as it was.
DIFFERENT = f"""
with raw as (
    select seq, user_id, hash({_KEPT}) as content from {RAW}
    where seq between $first and $last and seq >> 12 in (from changed_blocks)
), known as (
    select seq, user_id, hash({_KEPT}) as content from {CLEAN}
    where seq between $first and $last and seq >> 12 in (from changed_blocks)
    union all select seq, user_id, null from {REMOVED_EVENTS.full_name}
    where seq between $first and $last and seq >> 12 in (from changed_blocks)
)
select seq, raw.user_id as raw_user, known.user_id as known_user
from raw full join known using (seq)
where raw.user_id is distinct from known.user_id
    or (known.content is not null and known.content <> raw.content)
"""


@dataclass(frozen=True)
class Due:
    """What a table needs: to be built whole for a reason, or what came after a build."""

    reason: str
    settings: str
    last: Build | None
    number: int  # the build of clean_events that it will be up to date with

    @property
    def after(self) -> int:
        """The build that it is up to date with."""
        return self.last.number if self.last else 0

    @property
    def state(self) -> dict[str, object]:
        """What the last build left to know; empty before the first one."""
        return self.last.state if self.last else {}

    def follow(self, connection: duckdb.DuckDBPyConnection, table: Table) -> Followed:
        """The fingerprint of the table, which goes on from that of the last build if it can."""
        known = self.last.content if self.last and not self.reason else None
        return Followed(connection, table, known)

    def done(
        self,
        content: Fingerprint,
        recomputed: int,
        users: int,
        state: dict[str, object] | None = None,
    ) -> Build:
        """The build once it is made."""
        since = self.number if self.reason or self.last is None else self.last.whole_since
        return Build(
            self.number, since, self.settings, content, self.reason, recomputed, users,
            state or {},
        )  # fmt: skip


def cleaning_due(
    connection: duckdb.DuckDBPyConnection, settings: str, rebuild: bool, k_core: int
) -> Due:
    """What cleaning has to do.

    `different` holds the raw events that changed since the last build, `touched_users` whose they
    are or were, `blocks` the hashes of what is there now.
    """
    connection.execute(f"create or replace temp table blocks as {BLOCKS}")
    last = builds.last_build(connection, CLEAN_EVENTS)
    reason = builds.why_whole(connection, CLEAN_EVENTS, last, settings, rebuild)
    if not reason and k_core > 1:
        reason = "a k-core depends on all users"
    if not reason and REMOVED_EVENTS.count(connection) != (last and last.state["removed"]):
        reason = builds.OUTSIDE
    if not reason:
        connection.execute(f"create or replace temp table changed_blocks as {CHANGED_BLOCKS}")
        (first, until), *_ = connection.execute(
            "select min(block) << 12, (max(block) + 1) << 12 from changed_blocks"
        ).fetchall()
        connection.execute(
            f"create or replace temp table different as {DIFFERENT}",
            {"first": first, "last": until},
        )
        connection.execute(
            """create or replace temp table touched_users as
            select raw_user as user_id from different where raw_user is not null
            union select known_user from different where known_user is not null"""
        )
    # Numbers begin with the time, so that those of a lost record never come again.
    (now,), *_ = connection.execute("select epoch_us(now())").fetchall()
    return Due(reason, settings, last, last.number + 1 if last else now)


def covers_raw_events(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether every raw event is either clean or removed, by number and sum."""
    rows = f"select seq from {CLEAN} union all select seq from {REMOVED_EVENTS.full_name}"
    raw, known = (
        connection.execute(f"select count(*), sum(seq) from ({query})").fetchall()
        for query in (f"select seq from {RAW}", rows)
    )
    return raw == known


def leave_word(connection: duckdb.DuckDBPyConnection, number: int) -> None:
    """Keep the users and events that build `number` touched.

    Needs `touched_users`; their clean events as they were and are, `outdated` and `made`; and which
    of all rows are `fresh` or were `misjudged`.
    """
    TOUCHED_USERS.create(connection)
    MOVED_EVENTS.create(connection)
    TOUCHED_USERS.insert(connection, "select ? as build, user_id from touched_users", [number])
    MOVED_EVENTS.insert(
        connection,
        f"""select ? as build, {MOVED}, true as gone from outdated anti join made using (seq)
        union all select ?, {MOVED}, false from made anti join outdated using (seq)""",
        [number, number],
    )
    for table in (TOUCHED_USERS, MOVED_EVENTS):
        _forget_old(connection, table, number)
    leave_changed(connection, CHANGED_EVENTS, number, ("fresh", "misjudged"))


def leave_changed(
    connection: duckdb.DuckDBPyConnection, table: Table, number: int, changed: tuple[str, ...]
) -> None:
    """Keep in a table which rows were made or changed with build `number`: their seq."""
    table.create(connection)
    rows = " union ".join(f"select seq from {name}" for name in changed)
    table.insert(connection, f"select ? as build, seq from ({rows})", [number])
    _forget_old(connection, table, number)


def _forget_old(connection: duckdb.DuckDBPyConnection, table: Table, number: int) -> None:
    connection.execute(f"delete from {table.full_name} where build <= ?", [number - BUILDS_KEPT])


def keep_blocks(connection: duckdb.DuckDBPyConnection) -> None:
    """Let what was built be compared with what will be there: `blocks` was read before it."""
    RAW_BLOCKS.replace(connection, "from blocks")
    connection.execute("drop table blocks")


def forget_words(connection: duckdb.DuckDBPyConnection) -> None:
    """After a whole build nothing is known of what earlier ones touched."""
    for table in (TOUCHED_USERS, MOVED_EVENTS, CHANGED_EVENTS):
        table.clear(connection)


def forget_words_so_far(connection: duckdb.DuckDBPyConnection) -> None:
    """Forget what all builds until now touched: the events that went are among it.

    What stage 4 keeps of rows that changed are numbers of events, which tell nothing of anybody.
    A later table that is not yet up to date with them is then built whole.
    """
    if builds.last_build(connection, CLEAN_EVENTS) is None:
        return
    connection.execute(
        f"update {builds.builds_of(CLEAN_EVENTS.schema).full_name} set whole_since = number"
        " where table_name = ?",
        [CLEAN_EVENTS.name],
    )
    forget_words(connection)


def due(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    settings: str,
    rebuild: bool,
    through: int | None = None,
) -> Due:
    """What a table made of clean_events has to do.

    For an increment, `touched_users` and `moved` hold what was touched since its last build.

    Args:
        connection: of the warehouse.
        table: what is to be built.
        settings: hash of all that its rows depend on beside other rows.
        rebuild: whether it is to be built whole.
        through: the build it will be up to date with, where that is not the newest one.
    """
    source = builds.last_build(connection, CLEAN_EVENTS)
    last = builds.last_build(connection, table)
    newest = source.number if source else 0
    number = newest if through is None else min(newest, through)
    reason = builds.why_whole(connection, table, last, settings, rebuild)
    if not reason and not (source and last and source.whole_since <= last.number <= newest
                           and newest - last.number < BUILDS_KEPT):  # fmt: skip
        reason = builds.BEHIND
    found = Due(reason, settings, last, number)
    if not reason:
        connection.execute(
            f"""create or replace temp table touched_users as
            select distinct user_id from {TOUCHED_USERS.full_name} where build > ?""",
            [found.after],
        )
        connection.execute(
            f"""create or replace temp table moved as
            select * exclude (build) from {MOVED_EVENTS.full_name} where build > ?""",
            [found.after],
        )
    return found


def rows_of(connection: duckdb.DuckDBPyConnection, tables: tuple[Table, ...]) -> dict[str, object]:
    """Rows of tables that are built together with another one, for its state."""
    return {table.name: table.count(connection) for table in tables}


def unless_changed(
    connection: duckdb.DuckDBPyConnection, due: Due, tables: tuple[Table, ...]
) -> Due:
    """The same, but whole where such tables lack rows that they had, or have others."""
    if due.reason or all(
        table.is_there(connection) and due.state.get(table.name) == table.count(connection)
        for table in tables
    ):
        return due
    return replace(due, reason=builds.OUTSIDE)


def of_touched(query: str) -> str:
    """The same query over the users of the table `touched_users` alone, in every shard."""
    return query.replace(BELONGS, f"{BELONGS} and {IS_TOUCHED}")


def count_of(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """Rows of a table or temporary table."""
    return connection.execute(f"select count(*) from {table}").fetchall()[0][0]


def forget_touched(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Delete the rows of `touched_users` from a table."""
    connection.execute(f"delete from {table.full_name} where {IS_TOUCHED}")
