"""The tables of stage 1."""

from llmrec_assets.sql.tables import Column, Table

SCHEMA = "s1_raw_events"
EVENTS = "files.event_log"  # the external assets: their columns are those of the files
ITEMS = "files.item_log"

# A file of events that were known from feedback alone is named after its own SHA-256.
RETURNED_FILE = "returned-feedback-{:.16}.jsonl"
RETURNED_PREFIX = RETURNED_FILE.partition("{")[0]
SERVED_PREFIX = "serve-"  # of the names of files that the online service writes
REPAIRED_PREFIX = "repaired-"  # of the names of files that rejected rows come back in


def _event(name: str, type_name: str, description: str, private: bool = False) -> Column:
    return Column(name, type_name, description, (f"{EVENTS}.{name}",), private)


def _item(name: str, type_name: str, description: str, private: bool = False) -> Column:
    return Column(name, type_name, description, (f"{ITEMS}.{name}",), private)


FILES = Table(
    SCHEMA,
    "files",
    (
        Column("kind", "varchar", "events or items."),
        Column("content_hash", "varchar", "SHA-256 of the file: each content comes in once."),
        Column("name", "varchar", "Name of the file when it came in."),
        Column("ingested_at", "timestamp", "When it came in, UTC.", clock=True),
        Column("rows", "bigint", "Rows of the file: accepted, duplicates and rejected; 0 where"
               " it cannot be read, which is a line of rejected_events."),
        Column("accepted", "bigint", "Rows that were new, or took the place of a returned event."),
        Column("duplicates", "bigint", "Rows that were there already with the same content, and"
               " returned events that were there already; perhaps they told what caused theirs."),
        Column("rejected", "bigint", "Rows in rejected_events."),
        Column("time_kind", "varchar", "absolute or relative; null without times."),
        Column("time_unit", "varchar", "iso, basic date, seconds … nanoseconds, or step."),
        Column("ignored_columns", "varchar[]", "Columns of an events file that are not kept."),
    ),
    primary_key=("kind", "content_hash"),
)  # fmt: skip

RAW_EVENTS = Table(
    SCHEMA,
    "raw_events",
    (
        Column("seq", "bigint", "Ingestion sequence number: 1, 2, … by file, then by row. An event"
               " that takes the place of one that feedback returned has a new one."),
        _event("event_id", "varchar", "As given, else a hash of the row's typed values. What"
               " feedback returned stands for the event of this id until its own row comes."),
        _event("user_id", "varchar", "Who.", private=True),
        _event("item_id", "varchar", "What."),
        _event("timestamp", "timestamp", "When, UTC; null where time is relative."),
        Column("step", "bigint", "Day or step; null where time is absolute.",
               (f"{EVENTS}.timestamp",)),
        _event("behavior", "varchar", "What the user did, in lower case."),
        _event("rating", "double", "As given."),
        _event("value", "double", "As given, such as dwell seconds."),
        _event("session_id", "varchar", "As given.", private=True),
        _event("text", "varchar", "Such as a review or a query; as given, but without"
               " e-mail addresses, phone and card numbers (LLMREC_SCRUB_TEXT).", private=True),
        _event("context", "varchar", "JSON, as given without whitespace.", private=True),
        _event("caused_by", "varchar", "The list (list_id) that led to it, by its own row, else by"
               " feedback; null where none is known. It is no part of the event's content."),
        Column("own_event_id", "boolean", "Whether the source gave event_id.",
               (f"{EVENTS}.event_id",)),
        Column("file_hash", "varchar", "The file it came in."),
        Column("line", "bigint", "The line of that file; the row in Parquet."),
        Column("ingested_at", "timestamp", "When it came in, UTC.", clock=True),
    ),
    primary_key=("event_id",),
)  # fmt: skip

RAW_ITEMS = Table(
    SCHEMA,
    "raw_items",
    (
        _item("item_id", "varchar", "The item, as its newest delivery describes it."),
        _item("title", "varchar", "Title."),
        _item("category", "varchar", "Category."),
        _item("brand", "varchar", "Brand."),
        _item("description", "varchar", "Description."),
        _item("price", "double", "Price."),
        _item("image_path", "varchar", "Where the image lies."),
        _item("audio_path", "varchar", "Where the audio lies."),
        _item("attributes", "varchar", "JSON object of all other columns.", private=True),
        Column("seq", "bigint", "Ingestion sequence number of the newest delivery."),
        Column("file_hash", "varchar", "The file it came in."),
    ),
    primary_key=("item_id",),
)

REJECTED_EVENTS = Table(
    SCHEMA,
    "rejected_events",
    (
        Column("kind", "varchar", "events or items."),
        Column("file", "varchar", "Name of the file."),
        Column("file_hash", "varchar", "SHA-256 of the file."),
        Column("line", "bigint", "Line of the file; null where the whole file is rejected."),
        Column("reason", "varchar", "Why; details are in brackets."),
        Column("row", "varchar", "Start of the row.", private=True),
        Column("rejected_at", "timestamp", "When, UTC.", clock=True),
    ),
)

ITEM_ARRIVALS = Table(
    SCHEMA,
    "item_arrivals",
    (
        Column("file_hash", "varchar", "SHA-256 of a file of items."),
        Column("items", "bigint", "Items it described."),
        Column("items_known", "double", "Share of them that earlier files had described."),
        Column("shares", "varchar", "JSON: column → share of its good rows that have a value."),
    ),
    primary_key=("file_hash",),
)

REPAIRS = Table(
    SCHEMA,
    "repairs",
    (
        Column("kind", "varchar", "events or items."),
        Column("file_hash", "varchar", "SHA-256 of the file that the mended row came in."),
        Column("line", "bigint", "Its line there."),
        Column("of_file", "varchar", "Name of the file whose rejected row it repairs."),
        Column("of_hash", "varchar", "SHA-256 of that file."),
        Column("of_line", "bigint", "Line of the rejected row."),
        Column("reason", "varchar", "Why the mended row cannot be used either; null where it is"
               " in the store, so that the rejected one is repaired."),
    ),
    primary_key=("kind", "file_hash", "line"),
)  # fmt: skip

RETRACTIONS = Table(
    SCHEMA,
    "retractions",
    (
        Column("content_hash", "varchar", "SHA-256 of the file."),
        Column("name", "varchar", "Name of the file when it came in."),
        Column("retracted_at", "timestamp", "UTC.", clock=True),
        Column("first_seq", "bigint", "Lowest ingestion sequence number of its events or items;"
               " null where it had none of its own."),
        Column("rows", "bigint", "Events or items that went."),
        Column("restored", "bigint", "Of those, such as other files deliver too."),
        Column("because", "varchar", "Why, as given."),
        Column("kind", "varchar", "events or items."),
        Column("last_seq", "bigint", "Newest ingestion sequence number when it was taken back: none"
               " up to it is used again."),
    ),
    primary_key=("content_hash", "kind"),
)  # fmt: skip

TABLES = (FILES, RAW_EVENTS, RAW_ITEMS, REJECTED_EVENTS, ITEM_ARRIVALS, REPAIRS, RETRACTIONS)
