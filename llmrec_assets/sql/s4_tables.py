"""The tables of stage 4.

What has a row per event or text holds ids, and no key, for the reasons that stage 2 has; the codes
of ids, which shift with every new one, lie beside it and are applied where a model reads.
"""

from llmrec_assets.sql.tables import Column, Table

SCHEMA = "s4_features"
CLEAN = "s2_sequences.clean_events"
DETAILS = "s2_sequences.event_details"
TEXTS = "s3_embeddings.text_features"

_TIME = (f"{CLEAN}.time",)

TEMPORAL_FEATURES = Table(
    SCHEMA,
    "temporal_features",
    (
        Column("seq", "bigint", "The event.", (f"{CLEAN}.seq",)),
        Column("user_id", "varchar", "Who.", (f"{CLEAN}.user_id",), private=True),
        Column("position", "bigint", "Place in the user's history, from 0.",
               (*_TIME, f"{CLEAN}.seq")),
        Column("behavior", "varchar", "What the user did.", (f"{CLEAN}.behavior",)),
        Column("gap", "double", "Seconds (or steps) since the user's previous event; null for the"
               " first.", _TIME),
        Column("hour", "integer", "Hour of the day, UTC; null where time is relative.", _TIME),
        Column("weekday", "integer", "0 is Monday; null where time is relative.", _TIME),
        Column("recency", "double", "Seconds (or steps) since the user's last event with the same"
               " item; null for the first.", (*_TIME, f"{CLEAN}.item_id")),
        Column("session_position", "bigint", "Place in the session, from 0. A session is the given"
               " one, else it ends after 30 minutes (or one step) without an event.",
               (*_TIME, f"{CLEAN}.session_id")),
        Column("rating", "double", "As given; null for an outlier.", (f"{CLEAN}.rating",)),
        Column("value", "double", "As given; null for an outlier.", (f"{CLEAN}.value",)),
        Column("item_age", "double", "Seconds (or steps) since anybody's first event with the"
               " item; null where time is relative.", (*_TIME, f"{CLEAN}.item_id")),
        Column("item_popularity", "bigint", "Events with the item at earlier times than this; null"
               " where time is relative.",
               (*_TIME, f"{CLEAN}.item_id")),
    ),
)  # fmt: skip

TEMPORAL = TEMPORAL_FEATURES.full_name

CHANGED_FEATURES = Table(
    SCHEMA,
    "changed_features",
    (
        Column("build", "bigint", "The build of clean_events that temporal_features followed."),
        Column("seq", "bigint", "The event whose row was made or changed then."),
    ),
)

# Numeric inputs of a step, in the order of the columns of the array a model sees.
NUMERIC_FEATURES = (
    "gap",
    "hour_sin",
    "hour_cos",
    "weekday_sin",
    "weekday_cos",
    "recency",
    "session_position",
    "rating",
    "value",
    "item_age",
    "item_popularity",
    "recommended",  # new ones are added at the end: an older model reads those that it knows
)

FUSED_FEATURES = Table(
    SCHEMA,
    "fused_features",
    (
        Column("user_id", "varchar", "Who.", (f"{CLEAN}.user_id",), private=True),
        Column("position", "integer", "Place in the history, from 0.", (f"{TEMPORAL}.position",)),
        Column("seq", "bigint", "The event.", (f"{CLEAN}.seq",)),
        Column("time", "bigint", "As in clean_events.", _TIME),
        Column("item_id", "varchar", "What; its text is that of behaviour and item in"
               " step_rows.", (f"{CLEAN}.item_id", f"{TEXTS}.embedding_row")),
        Column("behavior", "varchar", "What the user did.", (f"{CLEAN}.behavior",)),
        Column("positive", "boolean", "May be a target.", (f"{CLEAN}.positive",)),
        Column("weight", "float", "How much it counts as a target.", (f"{CLEAN}.weight",)),
        Column("split", "varchar", "As in clean_events.", (f"{CLEAN}.split",)),
        *(
            Column(name, "float", f"{name}; null where unknown. Times and counts as ln(1 + x) / 10,"
                   " cycles as sine and cosine, rating and value raw; recommended is 1 where a list"
                   " caused the step, else 0.",
                   (f"{CLEAN}.caused_by",) if name == "recommended" else
                   (f"{TEMPORAL}.{name.removesuffix('_sin').removesuffix('_cos')}",))
            for name in NUMERIC_FEATURES
        ),
    ),
)  # fmt: skip

USERS = Table(
    SCHEMA,
    "users",
    (
        Column("user_code", "integer", "Place of the id among all ids, from 0."),
        Column("user_id", "varchar", "Every user of the clean events.", private=True),
    ),
)

ITEMS = Table(
    SCHEMA,
    "items",
    (
        Column("item_code", "integer", "Place of the id among all ids, from 1."),
        Column("item_id", "varchar", "Every item of the events and of the items files."),
        Column("item_seq", "bigint", "Its ingestion sequence number; 0 where no file has it."),
        Column("embedding_row", "integer", "Row of its text in the matrix; -1 without text."),
    ),
)

BEHAVIORS = Table(
    SCHEMA,
    "behaviors",
    (
        Column("behavior_code", "smallint", "Place of the name among all names, from 1."),
        Column("behavior", "varchar", "Every behaviour of the clean events."),
    ),
)

STEP_ROWS = Table(
    SCHEMA,
    "step_rows",
    (
        Column("behavior_code", "smallint", "Row of the behaviour in behaviors."),
        Column("item_code", "integer", "Row of the item in items."),
        Column("details", "varchar", "Rating and review in words; empty without any.",
               private=True),
        Column("embedding_row", "integer", "Row of the step's text in the embedding matrix."),
    ),
)  # fmt: skip

HISTORY_ROWS = Table(
    SCHEMA,
    "history_rows",
    (
        Column("user_code", "integer", "Row of the user in users."),
        Column("position", "bigint", "The last event of the history that the text may tell of."),
        Column("embedding_row", "integer", "Row of the history's text in the embedding matrix."),
    ),
)
