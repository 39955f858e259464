"""Commands that bring data sets of other forms into the landing zone."""

from collections.abc import Callable
from pathlib import Path

import click

from llmrec_assets.commands.jobs import shown_path
from llmrec_assets.layout import Layout
from llmrec_assets.resources.owned_folders import scratch_folder


@click.group("import")
def import_() -> None:
    """Write a data set of another form into the landing zone."""


@import_.command("public")
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--impressions", is_flag=True, help="Also what was shown and not taken (mind).")
def import_public(name: str, folder: Path, impressions: bool) -> None:
    """A public data set NAME in FOLDER.

    NAME is movielens, amazon-reviews-2023, mind, retailrocket, completejourney or yelp.
    """
    from llmrec_assets.datasets import importing

    if name not in importing.FORMATS:
        raise click.ClickException(f"{name!r} is none of {', '.join(importing.FORMATS)}")
    try:
        written = importing.import_public(Layout.from_environment(), name, folder, impressions)
    except importing.ImportProblem as error:
        raise click.ClickException(str(error)) from error
    for file in written:
        click.echo(f"{file.rows:10d} {file.kind:6} {file.source} → {shown_path(file.target)}")


def _mapped(command: Callable[..., None]) -> Callable[..., None]:
    """The options by which a person says, or confirms, which column is what."""
    for option in (
        click.option("--yes", is_flag=True, help="Take what was guessed of the other columns."),
        click.option("--behavior", default="", help="Of all events, where no column tells it."),
        click.option("--map", "given", multiple=True, metavar="NAME=COLUMN", help="Repeatable."),
        click.option("--kind", type=click.Choice(["events", "items"]), default="events"),
    ):
        command = option(command)
    return command


@import_.command("table")
@click.argument("path", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@_mapped
def import_table(path: Path, kind: str, given: tuple[str, ...], behavior: str, yes: bool) -> None:
    """One CSV, Parquet or JSON Lines file: shows which column is what, and writes it with --yes."""
    from llmrec_assets.datasets import importing

    try:
        _import(path, kind, given, behavior, yes)
    except importing.ImportProblem as error:
        raise click.ClickException(str(error)) from error


@import_.command("database")
@click.argument("source")
@click.option("--query", required=True, help="SELECT …, of what is to be imported.")
@_mapped
def import_database(
    source: str, query: str, kind: str, given: tuple[str, ...], behavior: str, yes: bool
) -> None:
    """The rows of a query on SOURCE: a SQLite or DuckDB file, postgres://… or mysql://…"""
    from llmrec_assets.datasets import databases, importing

    with scratch_folder() as folder:
        rows = folder / "query.parquet"
        try:
            databases.fetch(source, query, rows)
            _import(rows, kind, given, behavior, yes, known_as=f"{source}\n{query}")
        except importing.ImportProblem as error:
            raise click.ClickException(str(error)) from error


def _import(
    path: Path, kind: str, given: tuple[str, ...], behavior: str, yes: bool, known_as: str = ""
) -> None:
    """Show which column is what, and write the file once that is confirmed."""
    from llmrec_assets.datasets import columns, importing

    wrong = [pair for pair in given if "=" not in pair]
    if wrong:
        raise importing.ImportProblem(f"--map {wrong[0]}: write NAME=COLUMN")
    named = dict(pair.split("=", 1) for pair in given)
    guessed = columns.guess(importing.columns_of(path), kind)
    mapping = {n: c for n, c in guessed.items() if c not in named.values()} | named
    for name, column in mapping.items():
        click.echo(f"{name:12} ← {column}{'' if name in named else '   (guessed)'}")
    if not yes and set(mapping) - set(named):
        raise importing.ImportProblem("nothing is written: repeat with --yes, or with --map")
    file = importing.import_table(
        Layout.from_environment(), path, kind, mapping, behavior, known_as
    )
    click.echo(f"{file.rows} {file.kind} → {shown_path(file.target)}")
