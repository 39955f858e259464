"""Cleaning and sequences as stage 2 makes them, written for polars and for pandas.

Both look for the few events that are removed as the product does, sort what is left once, and cut
the histories out of that. They read raw.parquet, items.parquet and words.parquet of a folder and
write clean.parquet, removed.parquet and sequences.parquet. Neither keeps what lets the next build
be an increment, nor the texts of steps and items.
"""

from pathlib import Path
from typing import Any

KEY = ["user_id", "item_id", "timestamp", "step", "behavior"]
REASONS = (
    "time in the future",
    "repeats another event of the same user, item, time and behaviour",
    "an impression is nothing that the user did",
    "bot",
)
HISTORY = 50


def by_polars(folder: Path, rules: dict[str, Any]) -> None:
    """All of it by polars, in lazy frames where that helps it."""
    import polars as pl  # pyright: ignore[reportMissingImports]

    raw = pl.read_parquet(folder / "raw.parquet").with_columns(
        time=pl.coalesce(pl.col("timestamp").dt.epoch("us"), "step")
    )
    bots = _bots_by_polars(raw, rules)
    anonymous = raw.filter(~pl.col("own_event_id"))
    named = raw.filter("own_event_id").join(
        anonymous.select(KEY).unique(), on=KEY, how="semi", nulls_equal=True
    )
    numbered = pl.concat([named.sort("seq"), anonymous.sort("seq")])
    repeats = numbered.filter(~pl.struct(KEY).is_first_distinct() & ~pl.col("own_event_id"))["seq"]
    earliest = pl.lit(rules["earliest"]).str.to_datetime("%Y-%m-%d")
    future, repeated, impression, bot = map(pl.lit, REASONS)
    raw = raw.with_columns(is_bot=pl.col("user_id").is_in(bots.implode())).with_columns(
        reason=pl.when(pl.col("timestamp") < earliest)
        .then(pl.lit(f"time before {rules['earliest']}"))
        .when(pl.col("timestamp") > pl.col("ingested_at") + pl.duration(days=1)).then(future)
        .when(pl.col("seq").is_in(repeats.implode())).then(repeated)
        .when(pl.col("behavior") == "impression").then(impression)
        .when(pl.col("is_bot") & rules["drop_bots"]).then(bot)
    )  # fmt: skip
    removed = raw.filter(pl.col("reason").is_not_null()).select("seq", "user_id", "reason")
    removed.write_parquet(folder / "removed.parquet")
    words = pl.read_parquet(folder / "words.parquet")
    kept = raw.filter(pl.col("reason").is_null()).drop("reason", "step", "ingested_at")
    kept = kept.join(words, on="behavior", how="left").sort("user_id", "time", "seq")
    kept = kept.with_columns(
        positive=pl.col("positive").fill_null(value=True) & ~pl.col("is_bot"),
        weight=pl.col("weight").fill_null(1.0),
    )
    ahead = pl.col("positive").cast(pl.Int32).cum_sum(reverse=True).over("user_id")
    past = ahead - pl.col("positive").cast(pl.Int32)  # positives after the event
    kept = kept.with_columns(
        split=pl.when(past >= 2).then(pl.lit("train"))
        .when(past == 1).then(pl.lit("validation")).otherwise(pl.lit("test"))
    )  # fmt: skip
    kept = kept.with_columns(is_outlier=_outliers_by_polars(kept, rules["outlier_deviations"]))
    kept.drop("word", "own_event_id").write_parquet(folder / "clean.parquet")
    _sequences_by_polars(kept, pl.read_parquet(folder / "items.parquet")).write_parquet(
        folder / "sequences.parquet"
    )


def _bots_by_polars(raw: Any, rules: dict[str, Any]) -> Any:
    import polars as pl  # pyright: ignore[reportMissingImports]

    counts = raw.group_by("user_id").agg(events=pl.len())
    many = counts.filter(pl.col("events") > rules["bot_events_per_day"])
    days = raw.join(many, on="user_id", how="semi").drop_nulls("timestamp")
    busy = days.group_by("user_id", pl.col("timestamp").dt.date()).len()
    some = counts.filter(pl.col("events") >= rules["bot_one_item_events"])
    pairs = raw.join(some, on="user_id").group_by("user_id", "item_id", "events").len()
    fond = pairs.filter(pl.col("len") > rules["bot_one_item_share"] * pl.col("events"))
    busy = busy.filter(pl.col("len") > rules["bot_events_per_day"])
    return pl.concat([busy["user_id"], fond["user_id"]]).unique()


def _outliers_by_polars(kept: Any, deviations: float) -> Any:
    import polars as pl  # pyright: ignore[reportMissingImports]

    far = pl.lit(value=False)
    train = kept.filter(pl.col("split") == "train")
    for name in ("rating", "value"):
        spread = train.drop_nulls(name).group_by("behavior").agg(
            mean=pl.col(name).mean().round(6), std=pl.col(name).std(ddof=0).round(6)
        )  # fmt: skip
        spread = spread.filter(pl.col("std") > 0)
        bounds = {
            part: dict(spread.select("behavior", part).iter_rows()) for part in ("mean", "std")
        }
        mean, std = (
            pl.col("behavior").replace_strict(found, default=None, return_dtype=pl.Float64)
            for found in bounds.values()
        )
        far = far | ((pl.col(name) - mean).abs() > deviations * std).fill_null(value=False)
    return far


def _sequences_by_polars(kept: Any, items: Any) -> Any:
    import polars as pl  # pyright: ignore[reportMissingImports]

    told = kept.select("user_id", "time", "item_id", "behavior", "word").join(
        items, on="item_id", how="left", maintain_order="left"
    )
    text = pl.coalesce("word", "behavior") + " " + pl.coalesce("title", "item_id")
    lists = told.with_columns(text=text).group_by("user_id", maintain_order=True).agg(
        n_events=pl.len(), first_time=pl.first("time"), last_time=pl.last("time"),
        item_ids=pl.col("item_id").tail(HISTORY), behaviors=pl.col("behavior").tail(HISTORY),
        texts=pl.col("text").tail(HISTORY),
    )  # fmt: skip
    joined = pl.lit("[") + pl.col("texts").list.join(", ") + "]"
    return lists.with_columns(history_text=joined).drop("texts")


def by_pandas(folder: Path, rules: dict[str, Any]) -> None:
    """All of it by pandas."""
    import numpy as np
    import pandas as pd

    raw = pd.read_parquet(folder / "raw.parquet")
    known = raw["timestamp"].notna()
    micros = raw["timestamp"].astype("datetime64[us]").astype("int64")
    raw["time"] = micros if known.all() else micros.where(known, raw["step"]).astype("int64")
    bots = _bots_by_pandas(raw, rules)
    anonymous = raw.loc[~raw["own_event_id"], [*KEY, "seq", "own_event_id"]]
    named = raw.loc[raw["own_event_id"] & raw["time"].isin(raw["time"][anonymous.index])]
    numbered = pd.concat(
        [named[anonymous.columns].sort_values("seq"), anonymous.sort_values("seq")]
    )
    repeats = numbered.loc[numbered.duplicated(KEY) & ~numbered["own_event_id"], "seq"]
    raw["is_bot"] = raw["user_id"].isin(bots)
    reasons = (f"time before {rules['earliest']}", *REASONS)
    conditions = (
        raw["timestamp"] < pd.Timestamp(rules["earliest"]),
        raw["timestamp"] > raw["ingested_at"] + pd.Timedelta(days=1),
        raw["seq"].isin(repeats),
        raw["behavior"] == "impression",
        raw["is_bot"] & rules["drop_bots"],
    )
    found = np.select(conditions, range(len(reasons)), default=-1)
    removed = raw.loc[found >= 0, ["seq", "user_id"]]
    removed = removed.assign(reason=np.array(reasons)[found[found >= 0]])
    removed.to_parquet(folder / "removed.parquet", index=False)
    words = pd.read_parquet(folder / "words.parquet").set_index("behavior")
    kept = raw[found < 0].drop(columns=["step", "ingested_at", "own_event_id"])
    kept = kept.sort_values(["user_id", "time", "seq"], ignore_index=True)
    positive = kept["behavior"].map(words["positive"]).fillna(True).astype(bool)
    kept["positive"] = positive & ~kept["is_bot"]
    kept["weight"] = kept["behavior"].map(words["weight"]).fillna(1.0)
    before = kept.groupby("user_id", sort=False)["positive"]
    past = before.transform("sum") - before.cumsum()  # positives after the event
    kept["split"] = np.select([past >= 2, past == 1], ["train", "validation"], default="test")
    kept["is_outlier"] = _outliers_by_pandas(kept, rules["outlier_deviations"])
    kept.to_parquet(folder / "clean.parquet", index=False)
    items = pd.read_parquet(folder / "items.parquet")
    _sequences_by_pandas(kept, words["word"], items).to_parquet(folder / "sequences.parquet")


def _bots_by_pandas(raw: Any, rules: dict[str, Any]) -> Any:
    import pandas as pd

    counts = raw["user_id"].value_counts(sort=False)
    many = raw[raw["user_id"].isin(counts.index[counts > rules["bot_events_per_day"]])]
    days = many.groupby(["user_id", many["timestamp"].dt.floor("D")]).size()
    some = counts[counts >= rules["bot_one_item_events"]]
    pairs = raw[raw["user_id"].isin(some.index)].groupby(["user_id", "item_id"], sort=False).size()
    most = pairs.groupby("user_id").max()
    busy = days[days > rules["bot_events_per_day"]].index.get_level_values("user_id")
    fond = most.index[most > rules["bot_one_item_share"] * counts.reindex(most.index)]
    return pd.Index(busy).union(fond)


def _outliers_by_pandas(kept: Any, deviations: float) -> Any:
    far, train = False, kept[kept["split"] == "train"]
    for name in ("rating", "value"):
        seen = train.dropna(subset=[name]).groupby("behavior")[name]
        mean, std = seen.mean().round(6), seen.std(ddof=0).round(6)
        mean, std = (kept["behavior"].map(part[std > 0]).astype("float64") for part in (mean, std))
        far = far | ((kept[name] - mean).abs() > deviations * std)
    return far


def _sequences_by_pandas(kept: Any, words: Any, items: Any) -> Any:
    import pandas as pd

    titles = kept["item_id"].map(items.set_index("item_id")["title"]).fillna(kept["item_id"])
    text = kept["behavior"].map(words).fillna(kept["behavior"]) + " " + titles
    users = kept.groupby("user_id", sort=False)
    whole = users["time"].agg(n_events="size", first_time="first", last_time="last")
    newest = kept[["user_id", "item_id", "behavior"]].assign(text=text)
    lists = users_tail = newest.groupby("user_id", sort=False).tail(HISTORY)
    lists = users_tail.groupby("user_id", sort=False).agg(
        item_ids=("item_id", list), behaviors=("behavior", list), texts=("text", ", ".join)
    )
    lists["history_text"] = "[" + lists.pop("texts") + "]"
    return pd.concat([whole, lists], axis=1).reset_index()
