"""Bring user_sequences and the texts of items, steps and histories up to date.

What concerns one user is done shard by shard, the texts of items and steps are made once.
"""

from dataclasses import replace

import duckdb

from llmrec_assets.sql import builds, increments, replacing, s2_histories
from llmrec_assets.sql import s2_history_texts as texts_of_histories
from llmrec_assets.sql import s2_retelling as retelling
from llmrec_assets.sql import s2_texts as texts_sql
from llmrec_assets.sql.fingerprints import Followed, row_hash
from llmrec_assets.sql.s2_tables import (
    EVENT_DETAILS,
    HISTORY_TEXTS,
    ITEM_TEXTS,
    STEP_TEXTS,
    USER_SEQUENCES,
)
from llmrec_assets.sql.shards import WHOLE, FillByShards

TOLD = (ITEM_TEXTS, STEP_TEXTS, HISTORY_TEXTS)  # built together with user_sequences
READING = (
    s2_histories.code(),
    texts_of_histories.HISTORIES,
    USER_SEQUENCES.ddl,
    row_hash(USER_SEQUENCES),
)


def build_sequences(
    connection: duckdb.DuckDBPyConnection,
    language: str,
    *,
    history_length: int,
    description_characters: int,
    text_template: str = "",
    step_details: bool = False,
    review_characters: int = 300,
    history_texts: bool = False,
    history_characters: int = 300,
    fill: FillByShards = WHOLE,
    rebuild: bool = False,
) -> int:
    """Bring the texts of items, steps and histories and user_sequences up to date.

    Needs the table `words`. Told anew are items whose newest delivery is another one, steps that
    came or went or whose item has another text, and users whom cleaning touched or whose items have
    another title. With `step_details`, whose scale of ratings depends on everybody, all steps and
    history texts are. The tables hold the same rows either way and for every `fill`.

    Returns:
        The number of items that have the built-in text because their own values break the template.
    """
    joiner, separator = ("", "，") if language == "zh" else (" ", ", ")
    reading = {"joiner": joiner, "separator": separator, "history_length": history_length}
    options = [description_characters, text_template, step_details, review_characters,
               history_texts, history_characters]  # fmt: skip
    settings = builds.settings_hash(
        connection, language, reading, options, builds.words_of(connection), READING,
        texts_sql.code(),
    )  # fmt: skip
    due = increments.due(connection, USER_SEQUENCES, settings, rebuild)
    due = increments.unless_changed(connection, due, TOLD)
    again, details_again = not due.reason, not due.reason and not step_details
    if again:
        retelling.find_items(connection)
    texts_sql.build_item_texts(connection, language, text_template, description_characters, again)
    if again:
        retelling.find_steps(connection)
        retelling.touch_readers(connection)
    if not details_again:
        EVENT_DETAILS.clear(connection)
    if step_details:
        texts_sql.build_event_details(connection, language, review_characters)
    texts_sql.build_step_texts(connection, joiner, details_again)
    telling = None
    if history_texts:
        cut = texts_of_histories.global_cut(connection)
        telling = reading | {"cut": cut, "history_characters": history_characters}
    _tell_users(connection, telling, due, details_again, fill)
    content = due.follow(connection, USER_SEQUENCES)
    recomputed = _read_users(content, reading, again, fill)
    users = increments.count_of(connection, "touched_users" if again else USER_SEQUENCES.full_name)
    state = increments.rows_of(connection, TOLD) | {"cut": telling and telling["cut"]}
    builds.record(connection, USER_SEQUENCES, due.done(content.of_all(), recomputed, users, state))
    return texts_sql.fallen_back(connection)


def _tell_users(
    connection: duckdb.DuckDBPyConnection,
    telling: dict[str, object] | None,
    due: increments.Due,
    again: bool,
    fill: FillByShards,
) -> None:
    """Bring history_texts up to date: those of `touched_users`, and of whom a new cut moves.

    All of them where `again` is false, or where the cut comes or goes; none without `telling`.
    """
    if telling is None:
        HISTORY_TEXTS.clear(connection)
        return
    cut, before = telling["cut"], due.state.get("cut")
    again = again and (cut is None) == (before is None)
    if again:
        retelling.touch_tellers(connection, before, cut)
        increments.forget_touched(connection, HISTORY_TEXTS)
    else:
        HISTORY_TEXTS.clear(connection)
    (WHOLE if again else fill)(connection, texts_of_histories.told_histories(telling, again))


def _read_users(
    content: Followed,
    reading: dict[str, object],
    again: bool,
    fill: FillByShards,
) -> int:
    """Bring user_sequences up to date, only by `touched_users` if `again`; rows that were made."""
    connection = content.connection
    if not again:
        USER_SEQUENCES.clear(connection)
        fill(connection, s2_histories.histories(reading))
        return USER_SEQUENCES.count(connection)
    replacing.make(connection, USER_SEQUENCES)
    WHOLE(connection, replace(s2_histories.histories(reading, touched=True), target=replacing.MADE))
    replacing.find_outdated(connection, USER_SEQUENCES, increments.IS_TOUCHED, "user_id")
    replacing.put(content, "user_id")
    return increments.count_of(connection, replacing.MADE)
