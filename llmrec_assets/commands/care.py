"""Commands that keep a store well."""

from pathlib import Path
from typing import Literal

import click

from llmrec_assets.commands.jobs import alone, require_store, run_jobs
from llmrec_assets.layout import Layout


@click.command()
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


@click.command()
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
def backup(target: Path) -> None:
    """Write the whole store to TARGET (.tar.gz), while nothing works on it."""
    from llmrec_assets.operations import backup as archives

    layout = Layout.from_environment()
    require_store(layout)
    with alone(layout):
        try:
            count = archives.backup(layout, target)
        except archives.BadArchive as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"{count} files, {target.stat().st_size / 1e6:.1f} MB: {target}")


@click.command()
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


@click.command()
@click.argument("batch")
@click.option("--because", default="", help="Why, for the record.")
@click.option("--kind", type=click.Choice(["events", "items"]), help="Where both have the name.")
@click.confirmation_option(prompt="Take this batch back and train anew without it?")
def retract(batch: str, because: str, kind: Literal["events", "items"] | None) -> None:
    """Take back the file BATCH (its name, or its SHA-256) of events or items, and train anew."""
    from llmrec_assets.operations import retraction
    from llmrec_assets.sql.landing_lines import BadFile
    from llmrec_assets.sql.s1_batches import UnknownFile

    layout = Layout.from_environment()
    require_store(layout)
    with alone(layout):
        try:
            gone = retraction.retract(layout, batch, because, kind)
        except (UnknownFile, BadFile, retraction.StillWritten) as error:
            raise click.ClickException(str(error)) from error
    click.echo(
        f"{gone.name}: {gone.rows} {gone.kind} are taken back; {gone.restored} of them stay,"
    )
    click.echo("as other files deliver them too. The content of the file never comes in again.")
    for name in gone.not_landed:
        click.echo(f"may deliver some of them, but is no longer there: {name}", err=True)
    if gone.versions:
        click.echo(f"models that had seen such a batch serve no more: {', '.join(gone.versions)}")
    run_jobs(layout, ["retrain_with_encoder"])
