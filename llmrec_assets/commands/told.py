"""A group of commands that say what to do where a disk, a file or a lock is in the way."""

import click

from llmrec_assets.layout import Layout


class Told(click.Group):
    """Errors with a known remedy end a command by a message; others are bugs and keep their trace.

    Only the first line of the innermost error is shown: statements hold values of rows.
    """

    def invoke(self, ctx: click.Context) -> object:
        """As `click.Group`."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            from llmrec_assets.operations.trouble import chain, explain

            errors = chain(error)
            texts = [str(one) for one in errors]
            told = explain(Layout.from_environment(), [type(one).__name__ for one in errors], texts)
            # A text with an arrow has its remedy already.
            said = next((text for text in texts if "→" in text), None) or (
                told and f"{_first_line(texts[-1])}{told}"
            )
            if not said:
                raise
            raise click.ClickException(said) from error


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
