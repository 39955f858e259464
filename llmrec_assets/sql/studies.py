"""The studies in SQL: the ledger of what was measured, and what the newest study found."""

from dataclasses import astuple, dataclass

import duckdb
import pandas as pd

from llmrec_assets.sql.s3_embeddings import ENCODING_RUNS, ITEM_ENCODER
from llmrec_assets.sql.tables import Column, Table

SCHEMA = "studies"
FUSED = "s4_features.fused_features"

TEXT_ABLATION_FITS = Table(
    SCHEMA,
    "text_ablation_fits",
    (
        Column("data_fingerprint", "varchar", "Hash of the sequences and the catalogue."),
        Column("code_version", "varchar", "Of the package and a hash of its sources."),
        Column("settings", "varchar", "Hash of the variant and of how it was trained."),
        Column("variant", "varchar", "What the model was told of the items."),
        Column("seed", "integer", "Of training and placebos."),
        Column("users", "bigint", "Users with a test target."),
        Column("served_ndcg_at_10", "double", "Masked, full ranking, of what would be served."),
        Column("served_recall_at_10", "double", "The same."),
        Column("network_ndcg_at_10", "double", "Of the network alone; null without one."),
        Column("network_recall_at_10", "double", "The same."),
        Column("epochs", "integer", "Of the network, chosen on validation."),
        Column(
            "cpu_seconds", "double", "Of fitting and of ranking once for every user.", clock=True
        ),
        Column("gains_file", "varchar", "File of the arrays: float64 [users, 4], each user's."),
        Column("measured_at", "timestamp", "UTC.", clock=True),
    ),
    primary_key=("data_fingerprint", "code_version", "settings", "seed"),
)

_LESS = tuple(
    Column(f"less_{other}_{end}", "double", text)
    for other in ("ids_only", "default")
    for end, text in (
        ("difference", f"NDCG@10 less that of {other}; null where there is none to compare."),
        ("lower", "2.5th percentile over users drawn anew, their gains averaged over seeds."),
        ("upper", "97.5th percentile. Each interval is one of 95 %, uncorrected for how many."),
    )
)

TEXT_ABLATION = Table(
    SCHEMA,
    "text_ablation",
    (
        Column("variant", "varchar", "What the model is told of the items.",
               (f"{FUSED}.item_id",)),
        Column("scorer", "varchar", "served: what would be served; network: its network alone."),
        Column("slice", "varchar", "By training events of the target: cold 0, few 1 to 5, warm"
               " more; all."),
        Column("users", "bigint", "Users of the slice; one without any has no row."),
        Column("seeds", "integer", "Fits."),
        Column("ndcg_at_10", "double", "Masked, full ranking, test targets; mean over seeds."),
        Column("ndcg_spread", "double", "Standard deviation over seeds; null for one."),
        Column("recall_at_10", "double", "Mean over seeds."),
        Column("recall_spread", "double", "Standard deviation over seeds."),
        *_LESS,
        Column("cpu_seconds", "double", "Of fitting and ranking; mean over seeds.", clock=True),
        Column("encoding_seconds", "double", "Spent once on the variant's vectors.", clock=True),
    ),
    primary_key=("slice", "scorer", "variant"),
)  # fmt: skip


@dataclass(frozen=True)
class Fit:
    """What identifies one fit: nothing else can change its numbers."""

    data_fingerprint: str
    code_version: str
    settings: str
    seed: int

    @property
    def name(self) -> str:
        """Of its file."""
        return "-".join(map(str, astuple(self)))


def fitted(connection: duckdb.DuckDBPyConnection, fit: Fit) -> dict[str, object] | None:
    """The ledger's row of a fit."""
    TEXT_ABLATION_FITS.create(connection)
    cursor = connection.execute(
        f"""select * from {TEXT_ABLATION_FITS.full_name} where data_fingerprint = ?
        and code_version = ? and settings = ? and seed = ?""",
        list(astuple(fit)),
    )
    names = [column[0] for column in cursor.description or []]
    rows = cursor.fetchall()
    return dict(zip(names, rows[0], strict=True)) if rows else None


def record_fit(connection: duckdb.DuckDBPyConnection, fit: Fit, row: dict[str, object]) -> None:
    """Note one fit, in place of an earlier one of the same."""
    TEXT_ABLATION_FITS.create(connection)
    row = {**vars(fit), **row}
    selected = ", ".join(f"${name} as {name}" for name in row)
    connection.execute(
        f"insert or replace into {TEXT_ABLATION_FITS.full_name} by name"
        f" (select {selected}, now()::timestamp as measured_at)",
        row,
    )


def record_study(connection: duckdb.DuckDBPyConnection, rows: pd.DataFrame) -> None:
    """Make `rows` what the newest study found."""
    named = {"ndcg": "ndcg_at_10", "recall": "recall_at_10"}
    connection.register("study", rows.rename(columns=named))
    TEXT_ABLATION.replace(connection, "select * from study")
    connection.unregister("study")


def tuned_encoder(connection: duckdb.DuckDBPyConnection, base: str) -> str | None:
    """The newest encoder tuned over the frozen one of that name, used or not."""
    ITEM_ENCODER.create(connection)
    rows = connection.execute(
        f"""select version from {ITEM_ENCODER.full_name}
        where base = ? and head_file is not null order by decided_at desc limit 1""",
        [base],
    ).fetchall()
    return rows[0][0] if rows else None


def encoding_seconds(connection: duckdb.DuckDBPyConnection, base: str, encoder: str) -> float:
    """Spent so far on encoding with `base`, and on tuning `encoder` where it is a tuned one."""
    ENCODING_RUNS.create(connection)
    ITEM_ENCODER.create(connection)
    return connection.execute(
        f"""select (select coalesce(sum(seconds), 0) from {ENCODING_RUNS.full_name}
            where encoder = $base)
        + (select coalesce(sum(cpu_seconds), 0) from {ITEM_ENCODER.full_name}
            where version = $encoder and head_file is not null)""",
        {"base": base, "encoder": encoder},
    ).fetchall()[0][0]
