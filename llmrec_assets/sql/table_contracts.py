"""The contracts of events and items, as they come in and as they are cleaned."""

from llmrec_assets.sql.contracts import Contract, Rule
from llmrec_assets.sql.landing_lines import MAX_ID
from llmrec_assets.sql.landing_values import LARGEST
from llmrec_assets.sql.s1_tables import FILES, RAW_EVENTS, RAW_ITEMS
from llmrec_assets.sql.s2_tables import CLEAN_EVENTS


def _id(name: str) -> Rule:
    # Bytes are counted fast; characters only where they may be too many.
    return Rule(
        f"{name} has 1 to {MAX_ID} characters",
        f"{name} <> '' and (strlen({name}) <= {MAX_ID} or length({name}) <= {MAX_ID})",
    )


def _finite(name: str, least: str = f"-{LARGEST}") -> Rule:
    # NaN and infinity are larger than every number.
    return Rule(f"{name} is a number from {least} to {LARGEST}",
                f"{name} between {least} and {LARGEST}")  # fmt: skip


def _of_a_file(kind: str) -> Rule:
    return Rule(
        "file_hash is of a file that came in",
        f"file_hash in (select content_hash from {FILES.full_name} where kind = '{kind}')",
    )


RAW_EVENTS_CONTRACT = Contract(
    RAW_EVENTS,
    required=("seq", "event_id", "user_id", "item_id", "behavior", "own_event_id", "file_hash",
              "line", "ingested_at"),
    unique=("seq",),  # event_id is the primary key
    rules=(
        Rule("exactly one of timestamp and step is there", "(timestamp is null) <> (step is null)"),
        Rule("step is not below 0", "step >= 0"),
        _id("user_id"),
        _id("item_id"),
        _id("event_id"),
        Rule("behavior is not empty", "behavior <> ''"),
        _finite("rating"),
        _finite("value"),
        Rule("context is JSON", "json_valid(context)"),
        _of_a_file("events"),
    ),
    shown=("seq", "file_hash", "line"),
)  # fmt: skip

RAW_ITEMS_CONTRACT = Contract(
    RAW_ITEMS,
    required=("item_id", "seq", "file_hash"),
    unique=("seq",),  # item_id is the primary key
    rules=(
        _id("item_id"),
        _finite("price", "0"),
        Rule("attributes is a JSON object", "json_type(attributes) = 'OBJECT'"),
        _of_a_file("items"),
    ),
    shown=("item_id", "seq", "file_hash"),
)

CLEAN_EVENTS_CONTRACT = Contract(
    CLEAN_EVENTS,
    required=("seq", "event_id", "user_id", "item_id", "time", "behavior", "positive", "weight",
              "is_bot", "is_outlier", "split"),
    unique=("event_id",),  # seq is the primary key
    rules=(
        Rule("split is train, validation or test", "split in ('train', 'validation', 'test')"),
        Rule("time is that of timestamp", "time = epoch_us(timestamp)"),
        _finite("weight", "0"),
        Rule("no event of a bot is a target", "not (is_bot and positive)"),
    ),
    shown=("seq",),
)  # fmt: skip
