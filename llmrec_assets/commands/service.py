"""Commands of the online service."""

from pathlib import Path
from typing import Any

import click

from llmrec_assets.settings import SettingError


@click.command()
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


@click.group()
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
