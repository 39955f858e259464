"""Commands about rows that could not be used: see them, mend them, let them come again."""

from pathlib import Path
from typing import Literal

import click

from llmrec_assets.commands.jobs import alone, require_store, run_jobs, shown_path
from llmrec_assets.layout import Layout

KIND = click.Choice(["events", "items"])


@click.group(invoke_without_command=True)
@click.option("--kind", type=KIND, help="Of these only.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--rows", is_flag=True, help="Show the rows too; they name users.")
@click.pass_context
def rejected(
    context: click.Context, kind: Literal["events", "items"] | None, limit: int, rows: bool
) -> None:
    """List rows and files that could not be used and are still to be mended, with the reason."""
    if context.invoked_subcommand:
        return
    from llmrec_assets.resources.warehouse import Warehouse
    from llmrec_assets.sql import s1_files, s1_rejections

    layout = Layout.from_environment()
    require_store(layout)
    with Warehouse(path=str(layout.warehouse)).connect() as connection:
        s1_files.create_tables(connection)
        found = s1_rejections.open_rejections(connection, kind)
    for one in found[:limit]:
        place = "whole file" if one.line is None else f"line {one.line}"
        click.echo(f"{one.kind:6}  {one.file}, {place}: {one.reason}")
        if rows and one.row:
            click.echo(f"        {one.row}")
    whole = sum(one.line is None for one in found)
    click.echo(f"{len(found) - whole} rows and {whole} whole files are to be mended")
    if len(found) > whole:
        click.echo("rows: llmrec rejected export --to FILE.csv, mend it, llmrec rejected replay it")
    if whole:
        click.echo("a whole file: put it, mended, into the landing zone under the same name")


@rejected.command()
@click.option("--to", "target", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--kind", type=KIND, default="events", show_default=True)
def export(target: Path, kind: Literal["events", "items"]) -> None:
    """Write the rows to a file (.csv or .jsonl) in which they can be mended."""
    from llmrec_assets.operations import mending
    from llmrec_assets.sql.landing_lines import BadFile

    layout = Layout.from_environment()
    require_store(layout)
    try:
        written = mending.export_rejected(layout, target, kind)
    except (mending.NotMendable, BadFile) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{written.rows} rows: {target}. It names users; others cannot read it.")
    click.echo("Mend the cells, leave llmrec_repairs as it is, then llmrec rejected replay it.")
    if written.lost:
        click.echo(f"{written.lost} rows are left out: their files are no longer there", err=True)
    if written.whole_files:
        click.echo(f"{written.whole_files} files that were refused as a whole are left out")


@rejected.command()
@click.argument("source", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def replay(source: Path) -> None:
    """Take in the mended rows of SOURCE; those that are still wrong stay rejected."""
    from llmrec_assets.operations import mending
    from llmrec_assets.resources.warehouse import Warehouse
    from llmrec_assets.sql import s1_rejections

    layout = Layout.from_environment()
    require_store(layout)
    with alone(layout):
        try:
            landed = mending.replay(layout, source)
        except mending.NotMendable as error:
            raise click.ClickException(str(error)) from error
    run_jobs(layout, ["ingest"])
    with Warehouse(path=str(layout.warehouse)).connect() as connection:
        rows = s1_rejections.outcomes(connection, landed.kind, landed.content_hash)
    wrong = [row for row in rows if row[2] is not None]
    click.echo(f"{len(rows) - len(wrong)} rows are repaired: {shown_path(landed.path)}")
    for file, line, reason in wrong:
        click.echo(f"still wrong: {file}, line {line}: {reason}")
    if wrong:
        raise SystemExit(1)
