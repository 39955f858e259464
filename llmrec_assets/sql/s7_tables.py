"""The tables of stage 7."""

from llmrec_assets.sql.tables import Column, Table

SCHEMA = "s7_feedback"
LISTS = "s6_recommendations.recommendations"
SOURCES = ("model", "exploration", "fallback")
RAW = "s1_raw_events.raw_events"

FILES = Table(
    SCHEMA,
    "files",
    (
        Column("content_hash", "varchar", "sha256 of the content."),
        Column("name", "varchar", "Under which name it was found."),
        Column("rows", "bigint", "Rows of the file: accepted + duplicates + rejected; 0 where"
               " it cannot be read, which is a line of rejected_feedback."),
        Column("accepted", "bigint", "Responses it added."),
        Column("duplicates", "bigint", "Responses that were there already."),
        Column("rejected", "bigint", "Rows that cannot be used."),
        Column("ingested_at", "timestamp", "UTC.", clock=True),
    ),
    primary_key=("content_hash",),
)  # fmt: skip

REJECTED_FEEDBACK = Table(
    SCHEMA,
    "rejected_feedback",
    (
        Column("file", "varchar", "Name of the file."),
        Column("line", "bigint", "Line of the file; null where the whole file cannot be used."),
        Column("reason", "varchar", "Why, and how to mend it."),
        Column("row", "varchar", "The row.", private=True),
    ),
)

FEEDBACK = Table(
    SCHEMA,
    "feedback",
    (
        Column("seq", "bigint", "Ingestion sequence number of the feedback."),
        Column("feedback_id", "varchar", "The response, once."),
        Column("list_id", "varchar", "The list it names, if any."),
        Column("user_id", "varchar", "Who responded.", private=True),
        Column("item_id", "varchar", "To what."),
        Column("rank", "integer", "Place in the list: as given, else in the list that caused it.",
               (f"{LISTS}.rank",)),
        Column("timestamp", "timestamp", "UTC; null where time is relative."),
        Column("step", "bigint", "Relative time; null where time is absolute."),
        Column("response", "varchar", "impression, or a behaviour of the dictionary by its name:"
               " click, buy, like, rate, dwell, dislike, not_interested, …"),
        Column("value", "double", "As given: a rating, seconds, …"),
        Column("positive", "boolean", "Whether it speaks for the item: the sign of the behaviour,"
               " and a rating from the middle of its scale, or enough seconds, where it has a"
               " value of that kind; null for impressions and unknown behaviours."),
        Column("event_id", "varchar", "Its event: the one given, the same event in raw_events, or"
               " the one that is returned; null for what never becomes an event.",
               (f"{RAW}.event_id",)),
        Column("caused_by", "varchar", "The list that caused it; null for an organic response.",
               (f"{LISTS}.list_id",)),
        Column("attribution", "varchar", "list_id: the list it names shows the user this item;"
               " last_touch: it names none, and this is the newest list that did within the window"
               " before it; none: so far neither is known. Without an absolute time there is no"
               " last touch.", (f"{LISTS}.generated_at",)),
        Column("model_version", "varchar", "Who made that list.", (f"{LISTS}.model_version",)),
        Column("propensity", "double", "Of the slot in that list.", (f"{LISTS}.propensity",)),
        Column("returned_in", "varchar", "File in the landing zone that brings it back as an event;"
               " null where raw_events had it already, or it is neither positive nor hides the"
               " item."),
        Column("file_hash", "varchar", "The file that brought it."),
    ),
    primary_key=("feedback_id",),
)  # fmt: skip

RESPONSE_RATES = Table(
    SCHEMA,
    "response_rates",
    (
        Column("model_version", "varchar", "Who made the lists.",
               (f"{SCHEMA}.feedback.model_version",)),
        Column("impressions", "bigint", "Slots shown."),
        Column("clicks", "bigint", "Slots clicked."),
        Column("conversions", "bigint", "Slots bought."),
        Column("click_through", "double", "Share of the shown slots that were clicked."),
        Column("conversion", "double", "Share of the clicked slots that were bought."),
    ),
    primary_key=("model_version",),
)  # fmt: skip

SERVED_LISTS = Table(
    SCHEMA,
    "served_lists",
    (
        Column("list_id", "varchar", "A list that an online service made and users answered: hash"
               " of all that it was made of. Lists that were published are not here."),
        Column("user_id", "varchar", "Who answered it; a list of nobody has the rows of each.",
               private=True),
        Column("rank", "integer", "Place in the list, from 1."),
        Column("item_id", "varchar", "What is recommended."),
        Column("score", "double", "The scorer's logit."),
        Column("probability", "double", "Of being next, among all items of the catalogue."),
        Column("propensity", "double", "Probability with which this slot got this item, given the"
               " slots above it; 1 where nothing was drawn."),
        Column("source", "varchar", "model, exploration or fallback, as in recommendations."),
        Column("model_version", "varchar", "Who ranked it."),
        Column("generated_at", "timestamp", "UTC."),
    ),
    primary_key=("list_id", "user_id", "rank"),
)  # fmt: skip

LIST_FILES = Table(SCHEMA, "list_files", FILES.columns, FILES.primary_key)
REJECTED_LISTS = Table(SCHEMA, "rejected_lists", REJECTED_FEEDBACK.columns)

_SLOT = (f"{SCHEMA}.feedback.caused_by", f"{SCHEMA}.feedback.response")


def _interval(name: str, description: str) -> tuple[Column, ...]:
    """A measure and the ends of its 95 % interval."""
    return (
        Column(name, "double", description, _SLOT),
        Column(f"{name}_lower", "double", f"Lower end of the 95 % interval of {name}."),
        Column(f"{name}_upper", "double", f"Upper end of the 95 % interval of {name}."),
    )


DAILY_MEASURES = Table(
    SCHEMA,
    "daily_measures",
    (
        Column("day", "date", "UTC, of the first that was heard of a slot. Slots without an"
               " impression, and those of relative time, are in no day.",
               (f"{SCHEMA}.feedback.timestamp",)),
        Column("model_version", "varchar", "Who made the lists.",
               (f"{SCHEMA}.feedback.model_version",)),
        Column("users", "bigint", "Users who were shown slots."),
        Column("impressions", "bigint", "Slots shown."),
        Column("clicks", "bigint", "Of them, clicked."),
        Column("conversions", "bigint", "Of those, bought."),
        *_interval("click_through", "clicks / impressions."),
        *_interval("conversion", "conversions / clicks."),
        Column("answered_lists", "bigint", "Lists with a positive response."),
        *_interval("ndcg", "Mean NDCG of the answered lists as they were shown: 1 where the items"
                   " that got a positive response stood above all others."),
        Column("coverage", "double", "Share of the catalogue of now that was shown."),
        Column("gini", "double", "Inequality of impressions among the items of that catalogue."),
        Column("top_share", "double", "Share of impressions that its most shown hundredth took."),
    ),
    primary_key=("day", "model_version"),
)  # fmt: skip
