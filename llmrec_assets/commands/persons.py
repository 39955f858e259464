"""Commands about what a store holds on users, and for how long."""

from pathlib import Path

import click

from llmrec_assets.commands.jobs import alone, require_store, run_jobs
from llmrec_assets.layout import Layout
from llmrec_assets.settings import setting


@click.command("erase-user")
@click.argument("user")
@click.confirmation_option(prompt="This cannot be undone. Erase the user?")
def erase_user(user: str) -> None:
    """Forget USER everywhere, draw new lists without it, and prove that nothing is left."""
    from llmrec_assets.operations import erasure, search
    from llmrec_assets.resources.warehouse import Warehouse

    layout = Layout.from_environment()
    require_store(layout)
    with alone(layout):
        try:
            forgotten = erasure.forget(layout, user)
        except erasure.ServiceRuns as error:
            raise click.ClickException(str(error)) from error
    click.echo(
        f"{forgotten.rows} rows of tables and rows of {len(forgotten.files)} landing files are gone"
    )
    if _has_events(layout):
        run_jobs(layout, ["refresh_lists"])
    with alone(layout):
        erasure.sweep(layout)
        left = search.find_user(layout, user)
        if (known := Warehouse(path=str(layout.warehouse)).known_as(user)) != user:
            left |= search.find_user(layout, known)
    if forgotten.versions:
        click.echo(f"models that had seen the user: {', '.join(forgotten.versions)}; the next one")
        click.echo("that is trained has not: llmrec run, or the job retrain")
    for name in forgotten.unread:
        click.echo(f"not searched, because it cannot be read: {name}", err=True)
    for name in search.archives(layout):
        click.echo(f"not searched, because it is an archive: {name}", err=True)
    if left:
        places = "\n".join(f"{count:6d}  {place}" for place, count in left.items())
        raise click.ClickException(f"the id is still there:\n{places}")
    where = "in every text" if search.is_telling(user) else "wherever ids of users stand"
    click.echo(f"searched {where}, as DuckDB, Parquet, SQLite and bytes: nothing is left")


@click.command("export-user")
@click.argument("user")
@click.option("--to", "target", type=click.Path(path_type=Path, dir_okay=False), required=True)
def export_user(user: str, target: Path) -> None:
    """Write all that is held on USER to a JSON file."""
    from llmrec_assets.operations.export import export_user as export

    layout = Layout.from_environment()
    require_store(layout)
    counts = export(layout, user, target)
    for table, rows in counts.items():
        click.echo(f"{rows:6d}  {table}")
    click.echo(f"{target}" if counts else f"nothing is held on that user; {target} says so")


@click.command()
@click.option("--days", type=click.IntRange(min=1), help="Instead of LLMREC_RETENTION_DAYS.")
@click.confirmation_option(prompt="This cannot be undone. Forget what is older?")
def expire(days: int | None) -> None:
    """Forget events, feedback and lists that are too old, and draw new lists without them."""
    from llmrec_assets.operations import erasure, retention
    from llmrec_assets.resources.wiring import resources_of
    from llmrec_assets.sql.s1_retention import RelativeTimes

    layout = Layout.from_environment()
    require_store(layout)
    days = days or setting("RETENTION_DAYS", 0, minimum=0)
    if not days:
        raise click.ClickException("how old? Give --days, or set LLMREC_RETENTION_DAYS")
    resources = resources_of(layout)
    with alone(layout):
        try:
            gone = retention.forget(resources["warehouse"], resources["landing"], days)
        except RelativeTimes as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"older than {gone.before:%Y-%m-%d %H:%M} UTC: {gone.rows} rows of tables and rows")
    click.echo(f"of {len(gone.files)} landing files are gone; such rows are refused from now on")
    if _has_events(layout):
        run_jobs(layout, ["refresh_lists"])
    with alone(layout):
        erasure.sweep(layout)
    if gone.versions:
        click.echo(f"models that had seen such events: {', '.join(gone.versions)}")
    for name in gone.unfinished:
        click.echo(f"not read, because it is being written: {name}", err=True)
    for name in gone.unread:
        click.echo(f"cannot be read, so that its rows have no age: remove it: {name}", err=True)


def _has_events(layout: Layout) -> bool:
    from llmrec_assets.resources.warehouse import Warehouse

    rows = Warehouse(path=str(layout.warehouse)).read(
        "select count(*) as n from s1_raw_events.raw_events"
    )
    return bool(rows["n"][0])
