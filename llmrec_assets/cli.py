"""The few commands a person types; each is thin over Dagster."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from llmrec_assets.layout import ROOT_VARIABLE, Layout
from llmrec_assets.settings import PREFIX, SettingError

RECOMMENDATION_OPTIONS = {
    "top_k": click.IntRange(min=1),
    "exclude_seen": click.BOOL,
    "exploration": click.FloatRange(0, 1),
}
COOLDOWNS = [f"{PREFIX}COOLDOWN_{w}" for w in ("LISTS", "WARM_START", "RETRAIN", "ENCODER")]


@click.group()
def main() -> None:
    """Recommendations from a folder of events. LLMREC_DATA_DIR names the store (default data/)."""


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


@main.command()
@recommendation_options
def run(**options: Any) -> None:  # noqa: ANN401
    """Materialise every step once over what is in the landing zone."""
    _apply(options)
    layout = Layout.from_environment()
    _run_jobs(layout, ["full_loop"])
    _print_summary(layout)


@main.command()
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
    _run_jobs(layout, ["full_loop"])
    path = shop_demo.answer_lists(layout, shop, seed)
    click.echo(f"\nThe simulator of user responses answered the lists: {path.name}")
    _run_jobs(layout, ["collect_feedback", "ingest"])
    _print_summary(layout)


@main.command()
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
            f"no list for user {user!r}: ids are compared as text, and only users of the events"
            " that the last run saw have one"
        )
    click.echo(f"{rows[0][5]}, {rows[0][6]:%Y-%m-%d %H:%M} UTC")
    for rank, item, title, probability, source, _, _ in rows:
        name = title if title and title != item else ""
        note = "" if source == "model" else f"  ({source})"
        click.echo(f"{rank:4d}  {probability:8.4f}  {item}  {name}{note}")


@main.command()
@click.argument("version")
@click.option("--because", default="", help="Why, for the record.")
def rollback(version: str, because: str) -> None:
    """Serve VERSION, any registered one, and draw new lists by it."""
    _serve("rollback", version, because)


@main.command()
@click.argument("version")
@click.option("--because", default="", help="Why, for the record.")
def approve(version: str, because: str) -> None:
    """Serve VERSION, which won and awaits approval, and draw new lists by it."""
    _serve("approve", version, because)


@main.command("erase-user")
@click.argument("user")
@click.confirmation_option(prompt="This cannot be undone. Erase the user?")
def erase_user(user: str) -> None:
    """Forget USER everywhere, draw new lists without it, and prove that nothing is left."""
    from llmrec_assets.operations import erasure, search

    layout = Layout.from_environment()
    _require_store(layout)
    with _alone(layout):
        forgotten = erasure.forget(layout, user)
    click.echo(
        f"{forgotten.rows} rows of tables and rows of {len(forgotten.files)} landing files are gone"
    )
    if _has_events(layout):
        _run_jobs(layout, ["refresh_lists"])
    with _alone(layout):
        erasure.sweep(layout, forgotten)
        left = search.find_user(layout, user)
    if forgotten.versions:
        click.echo(f"models that had seen the user: {', '.join(forgotten.versions)}; the next one")
        click.echo("that is trained has not: llmrec run, or the job retrain")
    for name in forgotten.unread:
        click.echo(f"not searched, because it cannot be read: {name}", err=True)
    if left:
        places = "\n".join(f"{count:6d}  {place}" for place, count in left.items())
        raise click.ClickException(f"the id is still there:\n{places}")
    where = "in every text" if search.is_telling(user) else "wherever ids of users stand"
    click.echo(f"searched {where}, as DuckDB, Parquet, SQLite and bytes: nothing is left")


@main.command("export-user")
@click.argument("user")
@click.option("--to", "target", type=click.Path(path_type=Path, dir_okay=False), required=True)
def export_user(user: str, target: Path) -> None:
    """Write all that is held on USER to a JSON file."""
    from llmrec_assets.operations.export import export_user as export

    layout = Layout.from_environment()
    _require_store(layout)
    counts = export(layout, user, target)
    for table, rows in counts.items():
        click.echo(f"{rows:6d}  {table}")
    click.echo(f"{target}" if counts else f"nothing is held on that user; {target} says so")


@main.group("import")
def import_() -> None:
    """Write a data set of another form into the landing zone."""


@import_.command("public")
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def import_public(name: str, folder: Path) -> None:
    """A public data set NAME (movielens, amazon-reviews-2023, mind, retailrocket) in FOLDER."""
    from llmrec_assets.datasets import importing

    if name not in importing.FORMATS:
        raise click.ClickException(f"{name!r} is none of {', '.join(importing.FORMATS)}")
    try:
        written = importing.import_public(Layout.from_environment(), name, folder)
    except importing.ImportProblem as error:
        raise click.ClickException(str(error)) from error
    for file in written:
        click.echo(f"{file.rows:10d} {file.kind:6} {file.source} → {_shown_path(file.target)}")


@import_.command("table")
@click.argument("path", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--kind", type=click.Choice(["events", "items"]), default="events")
@click.option("--map", "given", multiple=True, metavar="NAME=COLUMN", help="As often as needed.")
@click.option("--behavior", default="", help="Of all events, where no column tells it.")
@click.option("--yes", is_flag=True, help="Take what was guessed of the other columns.")
def import_table(path: Path, kind: str, given: tuple[str, ...], behavior: str, yes: bool) -> None:
    """One CSV, Parquet or JSON Lines file: shows which column is what, and writes it with --yes."""
    from llmrec_assets.datasets import importing

    try:
        wrong = [pair for pair in given if "=" not in pair]
        if wrong:
            raise importing.ImportProblem(f"--map {wrong[0]}: write NAME=COLUMN")
        named = dict(pair.split("=", 1) for pair in given)
        guessed = importing.guess(importing.columns_of(path), kind)
        mapping = {n: c for n, c in guessed.items() if c not in named.values()} | named
        for name, column in mapping.items():
            click.echo(f"{name:12} ← {column}{'' if name in named else '   (guessed)'}")
        if not yes and set(mapping) - set(named):
            raise importing.ImportProblem("nothing is written: repeat with --yes, or with --map")
        file = importing.import_table(Layout.from_environment(), path, kind, mapping, behavior)
    except importing.ImportProblem as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{file.rows} {file.kind} → {_shown_path(file.target)}")


@main.command()
def doctor() -> None:
    """Look whether the store is fit for work, and say how to mend what is not."""
    from llmrec_assets.operations.doctor import examine

    findings = examine(Layout.from_environment())
    for finding in findings:
        click.echo(f"{'ok ' if finding.well else 'BAD'}  {finding.name}: {finding.says}")
        if not finding.well:
            click.echo(f"       → {finding.remedy}")
    if not all(finding.well for finding in findings):
        raise SystemExit(1)


@main.command()
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
def backup(target: Path) -> None:
    """Write the whole store to TARGET (.tar.gz), while nothing works on it."""
    from llmrec_assets.operations import backup as archives

    layout = Layout.from_environment()
    _require_store(layout)
    with _alone(layout):
        count = archives.backup(layout, target)
    click.echo(f"{count} files, {target.stat().st_size / 1e6:.1f} MB: {target}")


@main.command()
@click.argument("source", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def restore(source: Path) -> None:
    """Make the store, which must not be there yet, from the backup SOURCE."""
    from llmrec_assets.operations import backup as archives

    layout = Layout.from_environment()
    try:
        count = archives.restore(layout, source)
    except archives.BadArchive as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{count} files in {layout.root}")


def _require_store(layout: Layout) -> None:
    if not layout.warehouse.is_file():
        raise click.ClickException(f"there is no store in {layout.root}: LLMREC_DATA_DIR names it")


def _has_events(layout: Layout) -> bool:
    from llmrec_assets.resources.warehouse import Warehouse

    rows = Warehouse(path=str(layout.warehouse)).read(
        "select count(*) as n from s1_raw_events.raw_events"
    )
    return bool(rows["n"][0])


@contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """While no run, and no other command, works on the root."""
    from llmrec_assets.instance import RootIsBusy, exclusive

    try:
        with exclusive(layout):
            yield
    except RootIsBusy as error:
        raise click.ClickException(str(error)) from error


def _serve(job: str, version: str, because: str) -> None:
    layout = Layout.from_environment()
    _run_jobs(layout, [job], {"version": version, "because": because})
    click.echo(f"\n{version} serves; its lists are in {_shown_path(layout.recommendations)}")


@main.command()
@click.option("--host", help="Address to listen at (127.0.0.1); another needs keys.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port (8000); 0 takes a free one.")
@click.option("--budget-ms", type=click.FloatRange(min=0), help="Time a list may take (50).")
@click.option("--keys", type=click.Path(path_type=Path), help="File of API keys; requires them.")
def serve(**options: Any) -> None:  # noqa: ANN401
    """Answer requests for lists over HTTP, from what the pipeline published."""
    from llmrec_assets.serving.keys import BadKeysFile
    from llmrec_assets.serving.options import ServeOptions
    from llmrec_assets.serving.run import serve as serve_until_stopped

    try:
        serve_until_stopped(ServeOptions.from_environment(**options))
    except (BadKeysFile, SettingError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"cannot listen: {error}") from error


@main.group()
def key() -> None:
    """API keys of the online service."""


@key.command()
@click.option("--scope", "scopes", type=click.Choice(["read", "write"]), multiple=True,
              required=True, help="What it may do; give it twice for both.")  # fmt: skip
@click.option("--name", default="", help="Whose it is.")
def add(scopes: tuple[Any, ...], name: str) -> None:
    """Make a key and print it: it is shown this once."""
    from llmrec_assets.serving import keys
    from llmrec_assets.serving.options import ServeOptions

    path = ServeOptions.from_environment().keys_file
    try:
        click.echo(keys.add(path, name, scopes))
    except keys.BadKeysFile as error:
        raise click.ClickException(str(error)) from error


@main.command(context_settings={"ignore_unknown_options": True})
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


def _run_jobs(layout: Layout, names: list[str], config: dict[str, Any] | None = None) -> None:
    """Run jobs of the root one after the other in this process; exit 1 where one fails."""
    from llmrec_assets.instance import COMMAND_TAG, RootIsBusy, exclusive

    os.environ[ROOT_VARIABLE] = str(layout.root)
    try:
        with exclusive(layout) as instance:
            _require_events(layout)
            from llmrec_assets.definitions import defs

            for name in names:
                click.echo(f"\n{name}")
                result = defs.resolve_job_def(name).execute_in_process(
                    instance=instance,
                    raise_on_error=False,
                    run_config=config or {"loggers": {"progress": {}}},
                    tags={COMMAND_TAG: "true"},
                )
                if not result.success:
                    _fail(result)
    except (RootIsBusy, ValueError) as error:
        raise click.ClickException(str(error)) from error


def _require_events(layout: Layout) -> None:
    files = [p for p in layout.landing_events.iterdir() if p.is_file() and p.name[0] != "."]
    if not files and not layout.warehouse.exists():
        raise click.ClickException(
            f"there are no events: put CSV, Parquet or JSON Lines files in {layout.landing_events}"
        )


def _fail(result: Any) -> None:  # noqa: ANN401 - Dagster's result type is internal
    """Say which step or check failed and why, and exit 1."""
    lines = []
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error and error.cause:
                error = error.cause
            message = error.message.strip() if error else "unknown error"
            lines.append(f"{event.step_key} failed: {message}")
    for check in result.get_asset_check_evaluations():
        if check.blocking and not check.passed:
            reason = check.description or ", ".join(
                f"{name} {entry.value}" for name, entry in check.metadata.items()
            )
            lines.append(f"check {check.check_name} of {check.asset_key.path[-1]}: {reason}")
    raise click.ClickException("\n".join(lines) or "the run failed; see llmrec ui")


def _print_summary(layout: Layout) -> None:
    from llmrec_assets.resources.warehouse import Warehouse
    from llmrec_assets.sql.summary import summarise

    with Warehouse(path=str(layout.warehouse)).connect() as connection:
        outcome = summarise(connection)
    counts, decision = outcome.counts, outcome.decision
    facts = {
        "events read": counts["events_read"],
        "rejected": f"{counts['rejected']} rows; {counts['removed']} events removed by cleaning",
        "users": counts["users"],
        "items": counts["items"],
        "feedback": f"{counts['feedback']} impressions and responses",
        "model": f"{decision['served']} ({decision['outcome']})",
    }
    click.echo("")
    for name, value in facts.items():
        click.echo(f"{name:<16}{value}")
    click.echo(f"\n{'held-out test':<28}{'NDCG@10':>9}{'Recall@10':>11}{'users':>8}")
    for row in outcome.scores.itertuples():
        click.echo(f"{row.scorer:<28}{row.ndcg_at_10:>9.4f}{row.recall_at_10:>11.4f}{row.users:>8}")
    where = _shown_path(layout.root)
    # As it was called: a virtual environment need not be on the path.
    llmrec = sys.argv[0] if sys.argv[0].endswith("/llmrec") else "llmrec"
    click.echo(f"\nrecommendations {_shown_path(layout.recommendations)}")
    click.echo(f"one user        {ROOT_VARIABLE}={where} {llmrec} recommend USER")
    click.echo(f"Dagster UI      {ROOT_VARIABLE}={where} {llmrec} ui")


def _shown_path(path: Path) -> str:
    """Relative to the working directory where that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
