"""Commands that play the loop, or a part of it, and say what came of it."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from llmrec_assets.commands.jobs import run_jobs, shown_path
from llmrec_assets.commands.summary import print_summary
from llmrec_assets.layout import Layout
from llmrec_assets.settings import PREFIX

RECOMMENDATION_OPTIONS = {
    "top_k": click.IntRange(min=1),
    "exclude_seen": click.BOOL,
    "exploration": click.FloatRange(0, 1),
}
COOLDOWNS = [f"{PREFIX}COOLDOWN_{w}" for w in ("LISTS", "WARM_START", "RETRAIN", "ENCODER")]


def recommendation_options(command: Any) -> Any:  # noqa: ANN401 - click's own decorators are untyped
    """Flags that win over the LLMREC_… variables of the same names."""
    texts = {
        "top_k": "Items a list (20).",
        "exclude_seen": "Leave out items of the history (true).",
        "exploration": "Share of slots drawn at random (0).",
    }
    for name, kind in RECOMMENDATION_OPTIONS.items():
        flag = f"--{name.replace('_', '-')}"
        command = click.option(flag, name, type=kind, help=texts[name])(command)
    return command


def _apply(options: dict[str, Any]) -> None:
    """Flags become the environment that config reads its defaults from."""
    for name, value in options.items():
        if value is not None:
            os.environ[PREFIX + name.upper()] = str(value)


@click.command()
@recommendation_options
def run(**options: Any) -> None:  # noqa: ANN401
    """Materialise every step once over what is in the landing zone."""
    _apply(options)
    layout = Layout.from_environment()
    run_jobs(layout, ["full_loop"])
    print_summary(layout)


@click.command()
@recommendation_options
@click.option("--seed", default=7, show_default=True, help="Of the generated shop.")
def demo(seed: int, **options: Any) -> None:  # noqa: ANN401
    """Run the whole loop on a small generated shop, in a root of its own."""
    from llmrec_assets.datasets import demo as shop_demo

    _apply(options)
    layout = Layout.from_environment().demo
    try:
        shop = shop_demo.prepare(layout, seed)
    except shop_demo.ForeignFiles as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"A generated shop lies in {layout.landing}")
    run_jobs(layout, ["full_loop"])
    path = shop_demo.answer_lists(layout, shop, seed)
    click.echo(f"\nThe simulator of user responses answered the lists: {path.name}")
    run_jobs(layout, ["collect_feedback", "ingest"])
    print_summary(layout)


@click.command()
@click.argument("user")
def recommend(user: str) -> None:
    """Show the published list of USER."""
    import duckdb

    layout = Layout.from_environment()
    if not layout.recommendations.is_file():
        raise click.ClickException(
            f"{layout.recommendations} is not there yet: put events in {layout.landing_events}"
            " and run: llmrec run"
        )
    rows = duckdb.execute(
        """select rank, item_id, title, probability, source, model_version, generated_at
        from read_parquet(?) as lists left join read_parquet(?) as items using (item_id)
        where user_id = ? order by rank""",
        [str(layout.recommendations), str(layout.published_items), user],
    ).fetchall()
    if not rows:
        raise click.ClickException(
            "no list for that user: ids are compared as text, and only users of the events that the"
            " last run saw have one"
        )
    click.echo(f"{rows[0][5]}, {rows[0][6]:%Y-%m-%d %H:%M} UTC")
    for rank, item, title, probability, source, _, _ in rows:
        name = title if title and title != item else ""
        note = "" if source == "model" else f"  ({source})"
        click.echo(f"{rank:4d}  {probability:8.4f}  {item}  {name}{note}")


@click.command()
@click.argument("version")
@click.option("--because", default="", help="Why, for the record.")
def rollback(version: str, because: str) -> None:
    """Serve VERSION, any registered one, and draw new lists by it."""
    _serve("rollback", version, because)


@click.command()
@click.argument("version")
@click.option("--because", default="", help="Why, for the record.")
def approve(version: str, because: str) -> None:
    """Serve VERSION, which won and awaits approval, and draw new lists by it."""
    _serve("approve", version, because)


def _serve(job: str, version: str, because: str) -> None:
    layout = Layout.from_environment()
    run_jobs(layout, [job], {"version": version, "because": because})
    click.echo(f"\n{version} serves; its lists are in {shown_path(layout.recommendations)}")


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("dagster_arguments", nargs=-1, type=click.UNPROCESSED)
def ui(dagster_arguments: Sequence[str]) -> None:
    """Open Dagster's UI, daemon and sensors on this root; further arguments go to `dagster dev`."""
    from llmrec_assets.instance import bury_killed_runs

    layout = Layout.from_environment()
    if layout.demo_seed.is_file():  # a demo is looked at: it learns at once
        for variable in COOLDOWNS:
            os.environ.setdefault(variable, "0")
    bury_killed_runs(layout)
    os.chdir(layout.root)
    command = [sys.executable, "-m", "dagster", "dev", "-m", "llmrec_assets.definitions"]
    os.execv(sys.executable, [*command, *dagster_arguments])
