"""The tables of stage 2.

Those with a row per event, user or step have no primary key: an index over ten million rows costs
more than the rows, and nothing asks it anything. That rows are there once is a check.
"""

from llmrec_assets.sql.tables import Column, Table

SCHEMA = "s2_sequences"
RAW = "s1_raw_events.raw_events"
ITEMS = "s1_raw_events.raw_items"

CLEAN_EVENTS = Table(
    SCHEMA,
    "clean_events",
    (
        Column("seq", "bigint", "Ingestion sequence number; breaks ties in time.", (f"{RAW}.seq",)),
        Column("event_id", "varchar", "The event, once.", (f"{RAW}.event_id",),
               compression="zstd"),
        Column("user_id", "varchar", "Who.", (f"{RAW}.user_id",), private=True),
        Column("item_id", "varchar", "What.", (f"{RAW}.item_id",)),
        Column("time", "bigint", "Microseconds UTC, or the step where time is relative; the order"
               " of a history is (time, seq).", (f"{RAW}.timestamp", f"{RAW}.step")),
        Column("timestamp", "timestamp", "UTC; null where time is relative.",
               (f"{RAW}.timestamp",)),
        Column("behavior", "varchar", "What the user did.", (f"{RAW}.behavior",)),
        Column("positive", "boolean", "Whether the behaviour may be a target; never of a bot.",
               (f"{RAW}.behavior",)),
        Column("weight", "double", "How much such a target counts in training: the weight of the"
               " behaviour, times caused_weight where a list caused it.",
               (f"{RAW}.behavior", f"{RAW}.caused_by")),
        Column("caused_by", "varchar", "The list that led to it; null where it is organic, or"
               " nothing is known.", (f"{RAW}.caused_by",)),
        Column("rating", "double", "As given.", (f"{RAW}.rating",)),
        Column("value", "double", "As given, such as dwell seconds.", (f"{RAW}.value",)),
        Column("session_id", "varchar", "As given.", (f"{RAW}.session_id",), private=True),
        Column("is_bot", "boolean", "The user exceeded the daily limit of events.",
               (f"{RAW}.timestamp",)),
        Column("is_outlier", "boolean", "rating or value lies implausibly far from the mean of"
               " its behaviour in the training period.", (f"{RAW}.rating", f"{RAW}.value")),
        Column("split", "varchar", "train, validation (from the user's last but one positive"
               " event) or test (from the last one) of leave-one-out.",
               (f"{RAW}.timestamp", f"{RAW}.seq")),
    ),
)  # fmt: skip

REMOVED_EVENTS = Table(
    SCHEMA,
    "removed_events",
    (
        Column("seq", "bigint", "The raw event.", (f"{RAW}.seq",)),
        Column("user_id", "varchar", "Whose.", (f"{RAW}.user_id",), private=True),
        Column("reason", "varchar", "The rule that removed it."),
    ),
)

RAW_BLOCKS = Table(
    SCHEMA,
    "raw_blocks",
    (
        Column("block", "bigint", "4096 consecutive ingestion sequence numbers."),
        Column("rows", "bigint", "Raw events of them that cleaning saw."),
        Column("content", "ubigint", "Hash of these rows, whatever their order."),
    ),
)

TOUCHED_USERS = Table(
    SCHEMA,
    "touched_users",
    (
        Column("build", "bigint", "The build of clean_events that made the user's rows anew."),
        Column("user_id", "varchar", "Who.", private=True),
    ),
)

MOVED_EVENTS = Table(
    SCHEMA,
    "moved_events",
    (
        Column("build", "bigint", "The build of clean_events in which it came or went."),
        Column("seq", "bigint", "The event."),
        Column("user_id", "varchar", "Who.", private=True),
        Column("item_id", "varchar", "What."),
        Column("behavior", "varchar", "What the user did."),
        Column("time", "bigint", "As in clean_events."),
        Column("gone", "boolean", "Whether it went."),
    ),
)

CHANGED_EVENTS = Table(
    SCHEMA,
    "changed_events",
    (
        Column("build", "bigint", "The build of clean_events that made or changed the row."),
        Column("seq", "bigint", "The event."),
    ),
)

VALUE_STATISTICS = Table(
    SCHEMA,
    "value_statistics",
    (
        Column("version", "varchar", "Hash of all rows of this version."),
        Column(
            "fit",
            "varchar",
            "evaluation: the train split; global: the oldest nine"
            " tenths of the events; final: all events.",
        ),
        Column("feature", "varchar", "rating or value."),
        Column("behavior", "varchar", "The behaviour it was observed with."),
        Column("n", "bigint", "Observations."),
        Column("mean", "double", "Mean."),
        Column("std", "double", "Population standard deviation."),
        Column("minimum", "double", "Smallest."),
        Column("maximum", "double", "Largest."),
        Column("computed_at", "timestamp", "UTC, last time these values came out.", clock=True),
    ),
    primary_key=("version", "fit", "feature", "behavior"),
)

ITEM_TEXTS = Table(
    SCHEMA,
    "item_texts",
    (
        Column("item_id", "varchar", "Every item of the events and of the items files."),
        Column("item_seq", "bigint", "Its ingestion sequence number; 0 where no file has it."),
        Column("title", "varchar", "Title, or the id where there is none."),
        Column(
            "text",
            "varchar",
            "Title, brand, category and description, or what the template"
            " makes of the item; null without any.",
        ),
        Column("fell_back", "boolean", "Whether its values break the template."),
    ),
)

EVENT_DETAILS = Table(
    SCHEMA,
    "event_details",
    (
        Column("seq", "bigint", "A clean event; only those with details, none unless asked for."),
        Column("details", "varchar", "Its rating and review in words.", private=True),
    ),
)

STEP_TEXTS = Table(
    SCHEMA,
    "step_texts",
    (
        Column("behavior", "varchar", "What was done."),
        Column("item_id", "varchar", "With which item."),
        Column("details", "varchar", "As in event_details; empty without any.", private=True),
        Column(
            "text",
            "varchar",
            "Behaviour, item and details in words; null where neither item nor details have any.",
            private=True,
        ),
    ),
)

CLEAN = f"{SCHEMA}.clean_events"
HISTORY_TEXTS = Table(
    SCHEMA,
    "history_texts",
    (
        Column("user_id", "varchar", "Who.", (f"{CLEAN}.user_id",), private=True),
        Column("n_events", "bigint", "The oldest events of the history that the text may tell of:"
               " those before a target, or all.", (f"{CLEAN}.time", f"{CLEAN}.seq")),
        Column("text", "varchar", "The newest of them in words, newest first. No rows unless"
               " asked for.", (f"{CLEAN}.item_id", f"{CLEAN}.behavior", f"{ITEMS}.title"),
               private=True),
    ),
)  # fmt: skip

USER_SEQUENCES = Table(
    SCHEMA,
    "user_sequences",
    (
        Column("user_id", "varchar", "Who.", (f"{CLEAN}.user_id",), private=True),
        Column("n_events", "bigint", "Length of the whole history.", (f"{CLEAN}.seq",)),
        Column("first_time", "bigint", "Time of the first event.", (f"{CLEAN}.time",)),
        Column("last_time", "bigint", "Time of the last event.", (f"{CLEAN}.time",)),
        Column("item_ids", "varchar[]", "The newest items, oldest first.",
               (f"{CLEAN}.item_id", f"{CLEAN}.time", f"{CLEAN}.seq")),
        Column("behaviors", "varchar[]", "What was done with each.", (f"{CLEAN}.behavior",)),
        Column("history_text", "varchar", "The same as text, such as [buy A, browse B].",
               (f"{CLEAN}.item_id", f"{CLEAN}.behavior", f"{ITEMS}.title"), private=True,
               compression="zstd"),
    ),
)  # fmt: skip
