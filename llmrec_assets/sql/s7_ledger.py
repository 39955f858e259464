"""What became of the files that stage 7 took in, and of the rows that it could not use."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from llmrec_assets.sql.landing_files import StagedFile, unstage
from llmrec_assets.sql.s1_retention import kept
from llmrec_assets.sql.tables import Table

# Rows of a staged file that cannot be used: unreadable ones, and those that `judged` has reasons
# against.
BAD = """select line, reason, "row" from {rejects}
    union all select line, reason, {row} from judged where reason is not null"""
_ROW = kept("reason", "left(raw, 500)")


@dataclass(frozen=True)
class Ledger:
    """The tables of one kind of files: `files` has one row each, `rejected` one for a bad row."""

    files: Table
    rejected: Table

    def known(self, connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
        """Content hash to name of the files that are done."""
        query = f"select content_hash, name from {self.files.full_name}"
        return dict(connection.execute(query).fetchall())

    def reject(
        self,
        connection: duckdb.DuckDBPyConnection,
        name: str,
        query: str,
        parameters: Sequence[str] = (),
    ) -> int:
        """Keep the rows of `query` (line, reason, row) of the file `name`; how many."""
        before = self.rejected.count(connection)
        connection.execute(
            f"insert into {self.rejected.full_name} select ?, * from ({query}) as bad order by 2",
            [name, *parameters],
        )
        return self.rejected.count(connection) - before

    def take(
        self,
        connection: duckdb.DuckDBPyConnection,
        name: str,
        content_hash: str,
        staged: StagedFile,
        into: Table,
        add: str,
        parameters: dict[str, str] | None = None,
    ) -> dict[str, int]:
        """Add the good rows of the staged file to `into` and enter it; its counts.

        Needs the temporary table `judged` of the file's rows, which goes, and frees the file.

        Args:
            connection: inside the file's transaction.
            name: of the file.
            content_hash: of the file.
            staged: the file.
            into: where `add` inserts.
            add: the insertion, which reads `judged`.
            parameters: of `add`.
        """
        before = into.count(connection)
        connection.execute(add, parameters)
        rejected = self.reject(connection, name, BAD.format(rejects=staged.rejects, row=_ROW))
        accepted = into.count(connection) - before
        connection.execute("drop table judged")
        unstage(connection, staged)
        return self.enter(connection, name, content_hash, staged.rows, accepted, rejected)

    def refuse(
        self, connection: duckdb.DuckDBPyConnection, name: str, content_hash: str, reason: str
    ) -> dict[str, int]:
        """Enter a file of which nothing can be used; its counts."""
        self.reject(connection, name, "select null::bigint, ?, null", [reason])
        counts = self.enter(connection, name, content_hash, rows=0, accepted=0, rejected=0)
        return {**counts, "rejected_files": 1}

    def enter(
        self,
        connection: duckdb.DuckDBPyConnection,
        name: str,
        content_hash: str,
        rows: int,
        accepted: int,
        rejected: int,
    ) -> dict[str, int]:
        """Enter a file that is done; its counts."""
        counts = {
            "rows": rows,
            "accepted": accepted,
            "duplicates": rows - accepted - rejected,
            "rejected": rejected,
        }
        connection.execute(
            f"insert into {self.files.full_name} ({self.files.column_names})"
            " values (?, ?, ?, ?, ?, ?, now()::timestamp)",
            [content_hash, name, *counts.values()],
        )
        return counts
