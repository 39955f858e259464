"""The choice that every table has which is otherwise brought up to date."""

import dagster as dg
from pydantic import Field

from llmrec_assets.settings import setting


class Rebuild(dg.Config):
    """Whether a table is made from nothing."""

    rebuild: bool = Field(
        default=setting("REBUILD", False),
        description="Make the table from nothing instead of bringing it up to date with what has"
        " changed. The rows are the same; a table that was changed by hand is mended.",
    )
