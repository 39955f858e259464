"""Taking back one batch of events, and everything that was learnt from it."""

from dataclasses import dataclass

from llmrec_assets.layout import Layout
from llmrec_assets.resources.landing import Landing
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s1_retractions


class StillWritten(Exception):
    """A file of the landing zone is being written, so that what it says cannot be known."""


@dataclass(frozen=True)
class Retracted:
    """What went."""

    name: str  # of the file
    rows: int  # events that went
    restored: int  # of those, events that other files deliver too
    not_landed: list[str]  # files that may deliver more of them but are no longer there
    versions: list[str]  # model versions whose training had seen the batch


def retract(layout: Layout, named: str, because: str = "") -> Retracted:
    """Take back the batch of this name, or of this beginning of its SHA-256.

    What is derived is not mended but made anew: the caller trains afterwards.

    Raises:
        UnknownFile: no such batch came in, or several did.
        StillWritten: a file of events is not whole yet; nothing was changed.
        BadFile: a file that came in once cannot be read any more; nothing was changed.
    """
    scan = Landing(root=str(layout.root)).scan("events")
    if scan.unfinished:
        raise StillWritten(f"still being written: {', '.join(scan.unfinished)}; try again then")
    landed = {file.content_hash: file.path for file in scan.ready}
    with Warehouse(path=str(layout.warehouse)).connect() as connection:
        content_hash, name = s1_retractions.find_file(connection, named)
        gone = s1_retractions.not_landed(connection, content_hash, landed)
        rows, restored = s1_retractions.retract(connection, content_hash, landed, because)
        versions = s1_retractions.versions_that_saw(connection)
    return Retracted(name, rows, restored, gone, sorted(versions))
