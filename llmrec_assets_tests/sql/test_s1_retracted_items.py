"""A file of items that was taken back: the catalogue is that of a store to which it never came."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmrec_assets.sql import s1_retracted_items
from llmrec_assets_tests.sql.stage_one import Store

HEADER = "item_id,title,price,colour\n"


def csv(rows):
    return HEADER + "".join(",".join(map(str, row)) + "\n" for row in rows)


ROW = st.tuples(
    st.sampled_from(["i1", "i2", "i3", ""]),
    st.sampled_from(["A", "B"]),
    st.sampled_from(["", "1", "free"]),
    st.sampled_from(["", "red"]),
)
FILE = st.lists(ROW, min_size=1, max_size=5).map(csv)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(files=st.lists(FILE, min_size=2, max_size=5, unique=True), which=st.integers(0, 4))
def test_it_is_as_if_the_file_had_never_come(tmp_path, files, which):
    which %= len(files)
    store, pure = Store(tmp_path, "items"), Store(tmp_path, "items")
    hashes = [store.take(f"{place}.csv", content) for place, content in enumerate(files)]
    for place, content in enumerate(files):
        if place != which:
            pure.take(f"{place}.csv", content)
    before = store.last_seq()
    unchanged = dict(store.rows("select item_id, seq from s1_raw_events.raw_items"))
    gone, restored = store.retract(hashes[which])
    assert store.state(hashes[which]) == pure.state(hashes[which])
    assert gone >= restored
    numbers = store.numbers()
    assert len(numbers) == len(set(numbers))
    assert store.last_seq() >= max([before, *numbers])
    news = store.rows("select item_id, seq from s1_raw_events.raw_items")
    assert all(seq > before or unchanged[item] == seq for item, seq in news)
    store.take(f"{which}.csv", files[which])
    assert store.state(hashes[which]) == pure.state(hashes[which]), "it never comes in again"
    store.take("next.csv", csv([("i9", "Z", "", "")]))
    assert store.rows("select seq from s1_raw_events.raw_items where item_id = 'i9'")[0][0] > before


def test_an_earlier_description_comes_back_where_its_file_still_lies(tmp_path):
    store = Store(tmp_path, "items")
    first = store.take("a.csv", csv([("i1", "A", 1, ""), ("i2", "B", 2, "")]))
    second = store.take("b.csv", csv([("i1", "spam", 0, ""), ("i3", "spam", 0, "")]))
    third = store.take("c.csv", csv([("i2", "B2", 2, "")]))
    assert s1_retracted_items.not_landed(store.connection, second, store.landed) == []
    del store.landed[third]
    assert s1_retracted_items.not_landed(store.connection, second, store.landed) == ["c.csv"]
    assert store.retract(second) == (2, 1)
    columns = "item_id, title, file_hash"
    query = f"select {columns} from s1_raw_events.raw_items order by item_id"
    assert store.rows(query) == [("i1", "A", first), ("i2", "B2", third)]
    assert store.retract(first) == (1, 0), "what a file that is gone told last stays"
    assert store.rows(query) == [("i2", "B2", third)]
