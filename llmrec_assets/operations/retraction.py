"""Taking back one batch of events or items, and everything that was learnt from it."""

from dataclasses import dataclass

from llmrec_assets.layout import Layout
from llmrec_assets.resources.landing import Landing
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s1_batches, s1_retracted_items, s1_retractions
from llmrec_assets.sql.s1_files import Kind


class StillWritten(Exception):
    """A file of the landing zone is being written, so that what it says cannot be known."""


@dataclass(frozen=True)
class Retracted:
    """What went."""

    kind: Kind
    name: str  # of the file
    rows: int  # events or items that went
    restored: int  # of those, such as other files deliver too
    not_landed: list[str]  # files that may deliver more of them but are no longer there
    versions: list[str]  # model versions whose training had seen such a batch


def retract(layout: Layout, named: str, because: str = "", kind: Kind | None = None) -> Retracted:
    """Take back the batch of this name, or of this beginning of its SHA-256.

    What is derived is not mended but made anew: the caller trains afterwards.

    Raises:
        UnknownFile: no such batch came in, or several did.
        StillWritten: a file of its kind is not whole yet; nothing was changed.
        BadFile: a file that came in once cannot be read any more; nothing was changed.
    """
    warehouse, landing = Warehouse(path=str(layout.warehouse)), Landing(root=str(layout.root))
    with warehouse.connect() as connection:
        kind, content_hash, name = s1_batches.find_file(connection, named, kind)
    scan = landing.scan(kind)
    if scan.unfinished:
        raise StillWritten(f"still being written: {', '.join(scan.unfinished)}; try again then")
    landed = {file.content_hash: file.path for file in scan.ready}
    kind_of = s1_retractions if kind == "events" else s1_retracted_items
    with warehouse.connect() as connection:
        gone = kind_of.not_landed(connection, content_hash, landed)
        rows, restored = kind_of.retract(connection, content_hash, landed, because)
        versions = s1_batches.versions_that_saw(connection)
    return Retracted(kind, name, rows, restored, gone, sorted(versions))
