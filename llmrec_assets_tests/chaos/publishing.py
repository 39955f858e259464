"""Whether who was decided to serve, the registry, the lists and the package fit together."""

import sqlite3
from contextlib import closing

import pandas as pd

from llmrec_assets import published
from llmrec_assets.layout import Layout
from llmrec_assets.resources.registry import CHAMPION, MODEL, VERSION_TAG
from llmrec_assets_tests.chaos.checks import rows


def half_published(layout: Layout) -> list[str]:
    """What of the champion, the decision, the lists and the package does not fit together."""
    champion, known = _registered(layout)
    decision = rows(
        layout, "select * from s5_model.champion_model order by decided_at desc limit 1"
    ).iloc[0]
    served = decision["served"] if decision["kind"] == "model" else None
    wrong = [] if champion == served else [f"{served} was decided, {champion} has the alias"]
    lists = pd.read_parquet(layout.recommendations)
    versions = set(lists["model_version"])
    if len(versions) != 1 or (served and versions != {served}):
        wrong.append(f"the published lists are of {sorted(versions)}, {served} serves")
    if served and served not in known:
        wrong.append(f"{served} is not registered")
    current = published.read_current(layout)
    if current is None:
        return [*wrong, "no package is published"]
    package = published.load(layout.packages / current)  # raises where a file has changed
    if package.info.model_version not in versions or not package.lists.equals(lists):
        wrong.append("the package's lists are not the published ones")
    if len(set(package.user_ids)) != lists["user_id"].nunique():
        wrong.append("a user has no list")
    return wrong


def _registered(layout: Layout) -> tuple[str | None, set[str]]:
    """(who has the champion's alias, all versions), past MLflow, which keeps files open."""
    with closing(sqlite3.connect(layout.mlflow_database)) as connection:
        versions = dict(
            connection.execute(
                "select version, value from model_version_tags where name = ? and key = ?",
                [MODEL, VERSION_TAG],
            ).fetchall()
        )
        alias = connection.execute(
            "select version from registered_model_aliases where name = ? and alias = ?",
            [MODEL, CHAMPION],
        ).fetchall()
    return (versions[alias[0][0]] if alias else None), set(versions.values())
