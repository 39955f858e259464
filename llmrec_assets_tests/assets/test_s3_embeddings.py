import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from llmrec_assets.assets import s3_embeddings, text_steps
from llmrec_assets.core.encoding import BagOfWords
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.encoder import TextEncoder
from llmrec_assets.resources.engine import Engine
from llmrec_assets.resources.registry import Registry
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s3_embeddings as embeddings_sql

NAME = "bag_of_words-512"
ITEMS = {"e": "Wireless Earphones", "d": "婴儿纸尿裤", "x": None}
STEPS = {
    ("buy", "e"): "buy Wireless Earphones",
    ("view", "d"): "浏览婴儿纸尿裤",
    ("buy", "x"): None,
}
SETUP = """
create schema if not exists s2_sequences;
create or replace table s2_sequences.item_texts (item_id varchar, title varchar, text varchar);
create or replace table s2_sequences.step_texts
    (behavior varchar, item_id varchar, details varchar, text varchar);
create or replace table s2_sequences.history_texts
    (user_id varchar, n_events bigint, text varchar);
"""


def fill(warehouse: Warehouse, items: dict = ITEMS, steps: dict = STEPS) -> None:
    with warehouse.connect() as connection:
        connection.execute(SETUP)
        for item, text in items.items():
            connection.execute(
                "insert into s2_sequences.item_texts values (?, ?, ?)", [item, item, text]
            )
        for (behavior, item), text in steps.items():
            connection.execute(
                "insert into s2_sequences.step_texts values (?, ?, '', ?)", [behavior, item, text]
            )


class Counting(BagOfWords):
    """Remembers what it encoded."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode(self, texts: list[str]) -> np.ndarray:
        self.texts += texts
        return super().encode(texts)


@pytest.fixture
def store(tmp_path: Path) -> tuple[Warehouse, Arrays]:
    warehouse = Warehouse(path=str(tmp_path / "w.duckdb"))
    fill(warehouse)
    return warehouse, Arrays(root=str(tmp_path / "arrays"))


def build(store: tuple[Warehouse, Arrays], name: str = NAME) -> list[str]:
    """Encode and assemble; the texts that were encoded, sorted."""
    counting = Counting()
    text_steps.encode_new(*store, name, lambda: counting, lambda _line: None)
    text_steps.assemble(*store, [name], lambda: 512)
    return sorted(counting.texts)


def vectors(store: tuple[Warehouse, Arrays]) -> dict[tuple[str | None, str], np.ndarray]:
    """(behaviour, item) → the vector that text_features refers to."""
    warehouse, arrays = store
    with warehouse.connect() as connection:
        matrix = arrays.open(embeddings_sql.current_matrix(connection)[1])
        rows = connection.execute(
            "select behavior, item_id, embedding_row from s3_embeddings.text_features"
            " where embedding_row is not null"
        ).fetchall()
    return {(behavior, item): np.array(matrix[row]) for behavior, item, row in rows}


def test_every_text_has_its_own_vector(store):
    assert len(build(store)) == 4
    found = vectors(store)
    texts = {(None, item): text for item, text in ITEMS.items() if text}
    texts |= {step: text for step, text in STEPS.items() if text}
    assert found.keys() == texts.keys()
    for place, text in texts.items():
        # Two bytes a number keep about three digits.
        np.testing.assert_allclose(found[place], BagOfWords().encode([text])[0], atol=3e-4)


def test_only_new_texts_are_encoded(store):
    build(store)
    assert build(store) == []
    fill(store[0], ITEMS | {"n": "New Thing", "same": "Wireless Earphones"})
    assert build(store) == ["New Thing"]
    found = vectors(store)
    np.testing.assert_array_equal(found[None, "same"], found[None, "e"])


def test_a_changed_title_encodes_one_text_and_keeps_the_others(store):
    build(store)
    before = vectors(store)
    fill(store[0], ITEMS | {"d": "尿布"})
    assert build(store) == ["尿布"]
    after = vectors(store)
    assert (after[None, "d"] != before[None, "d"]).any()
    np.testing.assert_array_equal(after["buy", "e"], before["buy", "e"])
    fill(store[0])
    assert build(store) == []


def test_another_encoder_is_another_namespace(store):
    build(store)
    assert len(build(store, "other-1")) == 4
    assert build(store) == []
    with store[0].connect() as connection:
        assert embeddings_sql.current_matrix(connection)[0] == NAME


def test_another_item_with_the_same_texts_is_published(store):
    build(store)
    before = vectors(store)
    fill(store[0], {"e": None, "d": ITEMS["d"], "z": ITEMS["e"]})
    assert build(store) == []
    after = vectors(store)
    np.testing.assert_array_equal(after[None, "z"], before[None, "e"])
    assert (None, "e") not in after


def test_a_lost_matrix_is_assembled_again(store):
    build(store)
    before = vectors(store)
    for path in (Path(store[1].root) / text_steps.FOLDER).iterdir():
        path.unlink()
    assert build(store) == []
    assert {place: vector.tolist() for place, vector in vectors(store).items()} == {
        place: vector.tolist() for place, vector in before.items()
    }


def test_every_encoder_in_use_has_a_matrix_with_the_same_rows(store):
    build(store)
    tuned = f"{NAME}+lora-0123abcd"
    text_steps.encode_new(*store, tuned, BagOfWords, lambda _line: None)
    text_steps.assemble(*store, [NAME, tuned], lambda: 512)
    with store[0].connect() as connection:
        files = embeddings_sql.current_matrices(connection)
        assert embeddings_sql.current_matrix(connection) == (NAME, files[NAME])
    assert list(files) == [NAME, tuned]
    one, two = (store[1].open(file) for file in files.values())
    np.testing.assert_array_equal(one, two)
    build(store)
    assert not store[1].exists(files[tuned])


def test_rows_do_not_depend_on_the_order_of_the_tables(store, tmp_path):
    build(store)
    other = (Warehouse(path=str(tmp_path / "o.duckdb")), Arrays(root=str(tmp_path / "o")))
    fill(other[0], dict(reversed(ITEMS.items())), dict(reversed(STEPS.items())))
    build(other)
    with store[0].connect() as one, other[0].connect() as two:
        files = [embeddings_sql.current_matrix(connection)[1] for connection in (one, two)]
    assert files[0] == files[1]
    np.testing.assert_array_equal(store[1].open(files[0]), other[1].open(files[1]))


def test_one_matrix_is_left(store):
    for title in ("first", "second", "third"):
        fill(store[0], {"e": title})
        build(store)
    with store[0].connect() as connection:
        file = embeddings_sql.current_matrix(connection)[1]
    left = list((Path(store[1].root) / text_steps.FOLDER).iterdir())
    assert left == [Path(store[1].root) / file]


def test_a_lost_part_is_encoded_again(store):
    build(store)
    for path in Path(store[1].root).rglob("*.npy"):
        path.unlink()
    assert len(build(store)) == 4


KILLED = textwrap.dedent("""
    import os, signal, sys
    from llmrec_assets.assets import text_steps
    from llmrec_assets.core.encoding import BagOfWords
    from llmrec_assets.resources.arrays import Arrays
    from llmrec_assets.resources.warehouse import Warehouse

    class Dying(BagOfWords):
        calls = 0
        def encode(self, texts):
            self.calls += 1
            if self.calls == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().encode(texts)

    text_steps.BATCH = 2
    warehouse, arrays = Warehouse(path=sys.argv[1]), Arrays(root=sys.argv[2])
    text_steps.encode_new(warehouse, arrays, sys.argv[3], Dying, print)
""")

NOTHING_NEW = textwrap.dedent("""
    import sys
    from pathlib import Path
    from llmrec_assets.assets import text_steps
    from llmrec_assets.core.encoding import BagOfWords
    from llmrec_assets.resources.arrays import Arrays
    from llmrec_assets.resources.encoder import TextEncoder
    from llmrec_assets.resources.warehouse import Warehouse

    store = Warehouse(path=sys.argv[1]), Arrays(root=sys.argv[2])
    encoder = TextEncoder(model="multilingual")
    text_steps.encode_new(*store, encoder.name(), BagOfWords, print)
    again = text_steps.encode_new(*store, encoder.name(), encoder.encoder, print)
    def matrix():
        (file,) = Path(store[1].root, text_steps.FOLDER).glob("*.npy")
        return file.name, file.stat().st_ino, file.stat().st_mtime_ns
    shape = text_steps.assemble(*store, [encoder.name()], encoder.dimension)
    before = matrix()
    assert text_steps.assemble(*store, [encoder.name()], encoder.dimension) == shape == (4, 512)
    assert matrix() == before
    assert again.texts == 0
    assert not {"torch", "sentence_transformers"} & sys.modules.keys()
""")


def python(program: str, store: tuple[Warehouse, Arrays]) -> subprocess.CompletedProcess[str]:
    arguments = [store[0].path, store[1].root, NAME]
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_kill_loses_at_most_one_batch(store):
    assert python(KILLED, store).returncode == -signal.SIGKILL
    assert len(build(store)) == 2
    assert len(vectors(store)) == 4


def test_nothing_new_loads_no_model_and_writes_no_matrix(store):
    done = python(NOTHING_NEW, store)
    assert done.returncode == 0, done.stderr


def registry(store: tuple[Warehouse, Arrays], model: str) -> Registry:
    root = Path(store[0].path).parent
    return Registry(
        database=str(root / "mlflow.db"), artifacts=str(root / "mlartifacts"), model=model
    )


def materialize(store: tuple[Warehouse, Arrays]) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [
            s3_embeddings.text_features,
            s3_embeddings.embeddings_are_finite,
            s3_embeddings.texts_differ,
        ],
        resources={
            "warehouse": store[0],
            "arrays": store[1],
            "encoder": TextEncoder(model="bag_of_words"),
            "engine": Engine(),
            "registry": registry(store, "llmrec"),
            "encoder_registry": registry(store, "llmrec_item_encoder"),
        },
        raise_on_error=False,
    )


def metadata_of(result: dg.ExecuteInProcessResult) -> dict:
    materialization = result.asset_materializations_for_node("text_features")[0]
    return {name: value.value for name, value in materialization.metadata.items()}


def test_the_asset_says_what_it_did(store):
    metadata = metadata_of(materialize(store))
    assert metadata["encoder"] == NAME
    assert metadata["dimension"] == 512
    assert (metadata["texts"], metadata["newly_encoded"], metadata["reused"]) == (4, 4, 0)
    assert metadata["dagster/row_count"] >= 4
    again = metadata_of(materialize(store))
    assert (again["newly_encoded"], again["reused"]) == (0, 4)


def test_the_preview_shows_no_free_text(store):
    assert "Earphones" not in metadata_of(materialize(store))["preview"]


def test_no_texts_at_all(store):
    fill(store[0], {"x": None}, {("buy", "x"): None})
    result = materialize(store)
    assert result.success
    assert all(check.passed for check in result.get_asset_check_evaluations())
    assert metadata_of(result)["texts"] == 0
    with store[0].connect() as connection:
        matrix = store[1].open(embeddings_sql.current_matrix(connection)[1])
    assert matrix.shape == (0, 512)


def test_the_checks_find_broken_and_equal_vectors(store):
    class Broken(BagOfWords):
        def encode(self, texts):
            return np.full((len(texts), 8), np.nan, np.float32)

    class Constant(BagOfWords):
        def encode(self, texts):
            return np.ones((len(texts), 8), np.float32)

    def outcome(check, encoder):
        text_steps.encode_new(*store, encoder.__name__, encoder, lambda _line: None)
        text_steps.assemble(*store, [encoder.__name__], lambda: 8)
        return check(store[0], store[1]).passed

    assert not outcome(s3_embeddings.embeddings_are_finite, Broken)
    assert outcome(s3_embeddings.embeddings_are_finite, Constant)
    assert not outcome(s3_embeddings.texts_differ, Constant)
