"""Commands about what a store holds on one user."""

from pathlib import Path

import click

from llmrec_assets.commands.jobs import alone, require_store, run_jobs
from llmrec_assets.layout import Layout


@click.command("erase-user")
@click.argument("user")
@click.confirmation_option(prompt="This cannot be undone. Erase the user?")
def erase_user(user: str) -> None:
    """Forget USER everywhere, draw new lists without it, and prove that nothing is left."""
    from llmrec_assets.operations import erasure, search

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


def _has_events(layout: Layout) -> bool:
    from llmrec_assets.resources.warehouse import Warehouse

    rows = Warehouse(path=str(layout.warehouse)).read(
        "select count(*) as n from s1_raw_events.raw_events"
    )
    return bool(rows["n"][0])
