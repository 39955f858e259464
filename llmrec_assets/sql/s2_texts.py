"""Stage 2 in SQL: what is encoded of an item, and of a step with it.

Whatever a title, description or review holds is data, never a template. Control characters end
here, as spaces.
"""

import duckdb
import pyarrow as pa

from llmrec_assets.core import templates
from llmrec_assets.sql.s2_tables import (
    CLEAN,
    EVENT_DETAILS,
    ITEM_TEXTS,
    ITEMS,
    RAW,
    SCHEMA,
    STEP_TEXTS,
)

BATCH = 10_000  # items a template is rendered for at a time
SCALES = (5, 10, 100)  # a largest rating of one of these is the end of the scale
RATED = {
    "en": {"rated": "rated {:g}", "rated_of": "rated {:g} of {:g}"},
    "zh": {"rated": "评分 {:g}", "rated_of": "评分 {:g}/{:g}"},
}
NAME_CHARACTERS = 500  # of a title, brand or category: more is no name


def _on_one_line(column: str, characters: str) -> str:
    """The first characters of a text without control characters; null where none is left."""
    cut = f"{column}[:{characters}]"
    return f"nullif(trim(regexp_replace({cut}, '[\\p{{Cc}}\\p{{Zl}}\\p{{Zp}}]+', ' ', 'g')), '')"


NAMES = ", ".join(
    f"{_on_one_line(name, str(NAME_CHARACTERS))} as {name}"
    for name in ("title", "brand", "category")
)

ITEM_PARTS = f"""
select item_id, coalesce(seq, 0) as item_seq, price, attributes, {NAMES},
    {_on_one_line("description", "$description_characters")} as description
from (select distinct item_id from {CLEAN} union select item_id from {ITEMS})
left join {ITEMS} using (item_id)
"""

BUILT_IN = "nullif(concat_ws('. ', title, brand, category, description), '')"

ITEM_TEXT = f"""
select item_id, item_seq, coalesce(title, item_id) as title, {BUILT_IN} as text
from ({ITEM_PARTS}) as parts
"""

NUMBERED_ITEMS = f"""
select row_number() over (order by item_id) as number, *, {BUILT_IN} as default_text
from ({ITEM_PARTS}) as parts
"""

# Only training events tell the scale, so that no text depends on what is held out.
DETAILS = f"""
with scale as (
    select case when max(rating) in {SCALES} then max(rating) end as best
    from {CLEAN} where split = 'train' and not is_outlier
), told as (
    select seq, case when not is_outlier then events.rating end as rating,
        {_on_one_line("text", "$review_characters")} as review
    from {CLEAN} as events left join {RAW} as raw using (seq)
    where events.rating is not null or text is not null
)
select seq, concat_ws('. ',
    case when rating between 0 and best then format($rated_of, rating, best)
        else format($rated, rating) end, review) as details
from told, scale where rating is not null or review is not null
"""

STEP_TEXT = f"""
select behavior, item_id, details, coalesce(word, behavior) || $joiner
    || nullif(concat_ws('. ', text, nullif(details, '')), '') as text
from (
    select distinct behavior, item_id, coalesce(details, '') as details
    from {CLEAN} left join {EVENT_DETAILS.full_name} using (seq)
)
join {SCHEMA}.item_texts using (item_id) left join words using (behavior)
"""


def build_item_texts(
    connection: duckdb.DuckDBPyConnection,
    language: str,
    template: str,
    description_characters: int,
) -> int:
    """Build item_texts; how many items have the built-in text since they break the template."""
    cut = {"description_characters": description_characters}
    if template:
        return _render_item_texts(connection, language, template, cut)
    ITEM_TEXTS.replace(connection, f"{ITEM_TEXT} order by item_id", cut)
    return 0


def build_event_details(
    connection: duckdb.DuckDBPyConnection, language: str, review_characters: int
) -> None:
    """Build event_details: the rating of each event, and the start of its review, in words.

    They are part of the event they were given at, never of its target: the input of a step is what
    was known at and of that step, and the targets are later steps.
    """
    parameters = RATED[language] | {"review_characters": review_characters}
    EVENT_DETAILS.replace(connection, f"{DETAILS} order by seq", parameters)


def build_step_texts(connection: duckdb.DuckDBPyConnection, joiner: str) -> None:
    """Build step_texts from item_texts and event_details: each text once."""
    query = f"{STEP_TEXT} order by behavior, item_id, details"
    STEP_TEXTS.replace(connection, query, {"joiner": joiner})


def _render_item_texts(
    connection: duckdb.DuckDBPyConnection, language: str, template: str, cut: dict[str, int]
) -> int:
    """Batch by batch, so that the items need not fit into memory."""
    compiled, fell_back = templates.compile_template(template), 0
    connection.execute(
        f"create or replace temp table numbered as {NUMBERED_ITEMS} order by number", cut
    )
    ITEM_TEXTS.clear(connection)
    for first in range(0, _count(connection), BATCH):
        items = connection.sql(
            "from numbered where number > $first and number <= $last order by number",
            params={"first": first, "last": first + BATCH},
        ).to_arrow_table()
        rendered = templates.render(compiled, items.to_pylist(), language)
        texts = pa.array(rendered.texts, pa.string())
        connection.register("rendered", items.append_column("text", texts))
        ITEM_TEXTS.insert(
            connection,
            "select item_id, item_seq, coalesce(title, item_id) as title, text from rendered",
        )
        connection.unregister("rendered")
        fell_back += rendered.fell_back
    connection.execute("drop table numbered")
    return fell_back


def _count(connection: duckdb.DuckDBPyConnection) -> int:
    return connection.execute("select count(*) from numbered").fetchall()[0][0]
