"""Stage 2 in SQL: what is encoded of an item, and of a step with it.

Whatever a title, description or review holds is data, never a template. Control characters end
here, as spaces.
"""

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from llmrec_assets.core import template_sandbox, template_values, templates
from llmrec_assets.sql.builds import code_of
from llmrec_assets.sql.s2_tables import (
    CLEAN,
    EVENT_DETAILS,
    ITEM_TEXTS,
    ITEMS,
    RAW,
    SCHEMA,
    STEP_TEXTS,
)
from llmrec_assets.sql.tables import append

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

EVERY_ITEM = f"select distinct item_id from {CLEAN} union select item_id from {ITEMS}"
TOLD_ITEMS = f"""
select distinct item_id from {CLEAN} where item_id in (from told_items)
union select item_id from {ITEMS} where item_id in (from told_items)
"""

ITEM_PARTS = f"""
select item_id, coalesce(seq, 0) as item_seq, price, attributes, {NAMES},
    {_on_one_line("description", "$description_characters")} as description
from ({EVERY_ITEM})
left join {ITEMS} using (item_id)
"""

BUILT_IN = "nullif(concat_ws('. ', title, brand, category, description), '')"

ITEM_TEXT = f"""
select item_id, item_seq, coalesce(title, item_id) as title, {BUILT_IN} as text,
    false as fell_back
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

EVERY_STEP = f"""
    select distinct behavior, item_id, coalesce(details, '') as details
    from {CLEAN} left join {EVENT_DETAILS.full_name} using (seq)
"""
TOLD_STEPS = "select behavior, item_id, '' as details from told_steps where there"

STEP_TEXT = f"""
select behavior, item_id, details, coalesce(word, behavior) || $joiner
    || nullif(concat_ws('. ', text, nullif(details, '')), '') as text
from ({EVERY_STEP})
join {SCHEMA}.item_texts using (item_id) left join words using (behavior)
"""


def code() -> str:
    """All that decides what the texts are, for `builds.settings_hash`."""
    queries = [ITEM_TEXT, NUMBERED_ITEMS, DETAILS, STEP_TEXT, *map(str, RATED.items())]
    return code_of(queries, templates, template_sandbox, template_values)


def build_item_texts(
    connection: duckdb.DuckDBPyConnection,
    language: str,
    template: str,
    description_characters: int,
    told: bool = False,
) -> None:
    """Build item_texts, with the built-in text of items that break the template.

    `told`: only add those of the items in the table `told_items`, which the table lacks.
    """
    cut = {"description_characters": description_characters}
    if not told:
        ITEM_TEXTS.clear(connection)
    if template:
        _render_item_texts(connection, language, template, cut, told)
    else:
        query = f"{_among(ITEM_TEXT, told)} order by item_id"
        ITEM_TEXTS.insert(connection, query, cut)


def _among(query: str, told: bool) -> str:
    return query.replace(EVERY_ITEM, TOLD_ITEMS) if told else query


def build_event_details(
    connection: duckdb.DuckDBPyConnection, language: str, review_characters: int
) -> None:
    """Build event_details: the rating of each event, and the start of its review, in words.

    They are part of the event they were given at, never of its target: the input of a step is what
    was known at and of that step, and the targets are later steps.
    """
    parameters = RATED[language] | {"review_characters": review_characters}
    EVENT_DETAILS.replace(connection, f"{DETAILS} order by seq", parameters)


def build_step_texts(
    connection: duckdb.DuckDBPyConnection, joiner: str, told: bool = False
) -> None:
    """Build step_texts from item_texts and event_details: each text once.

    `told`: only add those of `told_steps` that are there, which the table lacks.
    """
    if not told:
        STEP_TEXTS.clear(connection)
    query = STEP_TEXT.replace(EVERY_STEP, TOLD_STEPS) if told else STEP_TEXT
    STEP_TEXTS.insert(
        connection, f"{query} order by behavior, item_id, details", {"joiner": joiner}
    )


def _render_item_texts(
    connection: duckdb.DuckDBPyConnection,
    language: str,
    template: str,
    cut: dict[str, int],
    told: bool,
) -> None:
    """Batch by batch, so that the items need not fit into memory."""
    compiled = templates.compile_template(template)
    query = _among(NUMBERED_ITEMS, told)
    connection.execute(f"create or replace temp table numbered as {query} order by number", cut)
    for first in range(0, _count(connection), BATCH):
        items = connection.sql(
            "from numbered where number > $first and number <= $last order by number",
            params={"first": first, "last": first + BATCH},
        ).to_arrow_table()
        rendered = templates.render(compiled, items.to_pylist(), language)
        title = pc.coalesce(items["title"], items["item_id"])  # pyright: ignore
        made = {
            "item_id": items["item_id"],
            "item_seq": items["item_seq"],
            "title": title,
            "text": pa.array(rendered.texts, pa.string()),
            "fell_back": rendered.broken,
        }
        append(connection, ITEM_TEXTS.full_name, pa.table(made))
    connection.execute("drop table numbered")


def fallen_back(connection: duckdb.DuckDBPyConnection) -> int:
    """How many items have the built-in text since their values break the template."""
    query = f"select count(*) from {ITEM_TEXTS.full_name} where fell_back"
    return connection.execute(query).fetchall()[0][0]


def _count(connection: duckdb.DuckDBPyConnection) -> int:
    return connection.execute("select count(*) from numbered").fetchall()[0][0]
