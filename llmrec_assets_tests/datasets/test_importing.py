"""Files written to the published formats come into the landing zone as events and items."""

import gzip
import json

import pandas as pd
import pytest
from click.testing import CliRunner

from llmrec_assets.cli import main
from llmrec_assets.datasets.columns import guess
from llmrec_assets.datasets.importing import (
    ImportProblem,
    columns_of,
    import_public,
    import_table,
)

FILES = {
    "movielens": {
        "ratings.csv": "userId,movieId,rating,timestamp\n"
                       "1,31,2.5,1260759144\n1,1029,3.0,1260759179\n",
        "movies.csv": 'movieId,title,genres\n31,"Dangerous Minds, ""the"" film (1995)",Drama\n'
                      "1029,Dumbo (1941),Animation|Children\n",
    },
    "movielens 100k": {
        "u.data": "196\t242\t3\t881250949\n",
        "u.item": "242|Kolya é (1996)|24-Jan-1997||http://a|0|0|0|0|0|1|0|0|0|0|0|0|0|0|0|0|0|0|0\n",
    },
    "movielens 1m": {
        "ratings.dat": "1::1193::5::978300760\n",
        "movies.dat": "1193::One Flew Over é: the Nest (1975)::Drama|War\n",
    },
    "movielens 10m": {
        "ratings.dat": "1::122::5::838985046\n2::1::4.5::868246450\n",
        "movies.dat": "122::Bérénice 美 (1992)::Comedy|Romance\n",
    },
    "yelp": {
        "yelp_academic_dataset_review.json": json.dumps({
            "review_id": "KU_O5udG6zpxOg-VcAEodg", "user_id": "mh_-eMZ6K5RLWhZyISBhwA",
            "business_id": "XQfwVwDr-v0ZS3_CbbE5Xw", "stars": 3.0, "useful": 0, "funny": 0,
            "cool": 0, "text": "If you decide\nto eat here", "date": "2018-07-07 22:09:11"}) + "\n",
        "yelp_academic_dataset_business.json": json.dumps({
            "business_id": "XQfwVwDr-v0ZS3_CbbE5Xw", "name": "Turning Point", "address": "1 A St",
            "city": "North Wales", "state": "PA", "postal_code": "19454", "latitude": 40.2,
            "longitude": -75.2, "stars": 3.0, "review_count": 169, "is_open": 1,
            "attributes": None, "categories": "Restaurants, Breakfast & Brunch",
            "hours": None}) + "\n",
    },
    "mind": {
        "behaviors.tsv": "1\tU13740\t11/11/2019 9:05:58 AM\tN55189 N42782\tN55689-1 N35729-0\n"
                         "2\tU91836\t11/12/2019 6:11:30 PM\t\tN20678-0 N39317-1\n",
        "news.tsv": 'N55689\tsports\tfootball\tA "quote" wins\tThe abstract.\thttps://a\t[]\t[]\n'
                    "N39317\tnews\tworld\tTitle\t\thttps://b\t[]\t[]\n",
    },
    "retailrocket": {
        "events.csv": "timestamp,visitorid,event,itemid,transactionid\n"
                      "1433221332117,257597,view,355908,\n1433224214164,992329,addtocart,248676,\n"
                      "1433222276276,599528,transaction,356475,4000\n",
        "item_properties_part1.csv": "timestamp,itemid,property,value\n"
                      "1435460400000,355908,categoryid,1338\n1441508400000,355908,categoryid,5\n"
                      "1439089200000,395014,888,639502 n480.000\n",
    },
    "amazon-reviews-2023": {
        "All_Beauty.jsonl": json.dumps({
            "rating": 5.0, "title": "Nice", "text": "Smells good\nand fresh", "images": [],
            "asin": "B00YQ6X8EO", "parent_asin": "B00YQ6X8E0", "user_id": "AGKHLEW2SO",
            "timestamp": 1588687728923, "helpful_vote": 0, "verified_purchase": True}) + "\n",
        "meta_All_Beauty.jsonl": json.dumps({
            "main_category": "All Beauty", "title": "Soap", "average_rating": 4.8,
            "features": ["vegan"], "description": ["A soap."], "price": "from 12.99",
            "store": "Howard", "categories": ["Bath", "Soap"], "details": {},
            "parent_asin": "B00YQ6X8E0"}) + "\n",
    },
}  # fmt: skip
EXPECTED = {
    "movielens": (["31", "1029"], "rate", ['Dangerous Minds, "the" film (1995)', "Dumbo (1941)"]),
    "movielens 100k": (["242"], "rate", ["Kolya é (1996)"]),
    "movielens 1m": (["1193"], "rate", ["One Flew Over é: the Nest (1975)"]),
    "movielens 10m": (["122", "1"], "rate", ["Bérénice 美 (1992)"]),
    "yelp": (["XQfwVwDr-v0ZS3_CbbE5Xw"], "review", ["Turning Point"]),
    "mind": (["N55689", "N39317"], "read", ['A "quote" wins', "Title"]),
    "retailrocket": (["355908", "248676", "356475"], "view", None),
    "amazon-reviews-2023": (["B00YQ6X8E0"], "review", ["Soap"]),
}


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()

    def write(name):
        for file, text in FILES[name].items():
            encoding = "latin-1" if name in ("movielens 100k", "movielens 1m") else "utf-8"
            (folder / file).write_text(text, encoding=encoding)
        return folder

    return write


def landed(root, kind):
    folder = root.landing / kind
    return pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))])


@pytest.mark.parametrize("name", FILES)
def test_a_published_format_is_read(root, source, name):
    written = import_public(root, name.split()[0], source(name))
    items, behavior, titles = EXPECTED[name]
    events = landed(root, "events")
    assert events["item_id"].tolist() == items
    assert events["behavior"].iloc[0] == behavior
    described = landed(root, "items")
    if titles:
        assert described["title"].tolist() == titles
    assert sum(file.rows for file in written) == len(events) + len(described)


def test_what_a_format_says_beside_ids(root, source):
    import_public(root, "amazon-reviews-2023", source("amazon-reviews-2023"))
    event, item = landed(root, "events").iloc[0], landed(root, "items").iloc[0]
    assert event["text"] == "Nice. Smells good\nand fresh"
    assert (event["timestamp"], event["rating"]) == (1588687728923, 5.0)
    assert (item["price"], item["brand"], item["category"]) == (12.99, "Howard", "Bath, Soap")
    assert item["description"] == "A soap. vegan"


def test_the_newest_category_and_the_behaviours_of_a_shop(root, source):
    import_public(root, "retailrocket", source("retailrocket"))
    assert landed(root, "events")["behavior"].tolist() == ["view", "cart", "buy"]
    assert landed(root, "items").to_dict("records") == [
        {"item_id": "355908", "category": "category 5"}
    ]


def test_clicks_of_news_have_their_time_and_session(root, source):
    import_public(root, "mind", source("mind"))
    events = landed(root, "events")
    assert events["session_id"].tolist() == ["1", "2"]
    assert "event_id" not in events, "impressions are numbered anew in each split"
    assert str(events["timestamp"].iloc[1]) == "2019-11-12 18:11:30"


def test_what_was_shown_and_not_read_comes_in_where_it_is_asked_for(root, source):
    import_public(root, "mind", source("mind"), impressions=True)
    events = landed(root, "events").sort_values(["session_id", "behavior"])
    assert events[["session_id", "behavior", "item_id"]].values.tolist() == [
        ["1", "impression", "N35729"],
        ["1", "read", "N55689"],
        ["2", "impression", "N20678"],
        ["2", "read", "N39317"],
    ]


def test_recboles_atomic_files_are_read_as_tables(root, tmp_path):
    path = tmp_path / "ml-100k.inter"
    path.write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n"
    )
    mapping = guess(columns_of(path), "events")
    import_table(root, path, "events", mapping, behavior="rate")
    assert landed(root, "events").to_dict("records") == [
        {"user_id": "196", "item_id": "242", "timestamp": "881250949", "rating": "3",
         "behavior": "rate"}
    ]  # fmt: skip
    path = tmp_path / "ml-100k.item"
    path.write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "1\tToy Story\t1995\tAnimation Children's Comedy\n"
    )
    import_table(root, path, "items", guess(columns_of(path), "items"))
    (item,) = landed(root, "items").to_dict("records")
    assert (item["title"], item["category"]) == ("Toy Story", "Animation Children's Comedy")


def test_what_was_imported_is_ingested(root, run_job, source):
    import_public(root, "movielens", source("movielens"))
    result = run_job("ingest")
    counts = result.asset_materializations_for_node("raw_events")[0].metadata
    assert counts["dagster/row_count"].value == 2
    again = import_public(root, "movielens", source("movielens"))
    assert len(list(root.landing_events.iterdir())) == 1
    assert again[0].target.exists()


def test_an_empty_folder_and_a_broken_file_are_told(root, tmp_path):
    with pytest.raises(ImportProblem, match=r"no file of MIND: behaviors\.tsv"):
        import_public(root, "mind", tmp_path)
    (tmp_path / "u.data").write_text("1\t2\tmany\t3\n")
    with pytest.raises(ImportProblem, match="cannot be read as movielens"):
        import_public(root, "movielens", tmp_path)
    assert not list(root.landing_events.iterdir())


def test_columns_are_guessed_by_their_names():
    columns = ["Customer ID", "SKU", "When", "Event Type", "Stars", "color"]
    assert guess(columns, "events") == {
        "user_id": "Customer ID", "item_id": "SKU", "behavior": "Event Type", "rating": "Stars",
    }  # fmt: skip
    assert guess(["用户", "商品", "时间", "行为"], "events") == {
        "user_id": "用户", "item_id": "商品", "timestamp": "时间", "behavior": "行为",
    }  # fmt: skip
    assert guess(["product", "name", "maker"], "items") == {
        "item_id": "product", "title": "name", "brand": "maker",
    }  # fmt: skip


def test_a_table_is_written_once_its_columns_are_confirmed(root, tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl.gz"
    rows = [{"customer": "a", "sku": "1", "when": 1, "color": "red"}]
    path.write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in rows).encode()))
    monkeypatch.setenv("LLMREC_DATA_DIR", str(root.root))

    def llmrec(*arguments):
        return CliRunner().invoke(main, ["import", "table", str(path), *arguments])

    shown = llmrec("--map", "timestamp=when")
    assert shown.exit_code == 1
    assert "user_id      ← customer   (guessed)" in shown.output
    assert "nothing is written" in shown.output
    lacking = llmrec("--yes")
    assert "is known to be timestamp, behavior" in lacking.output
    done = llmrec("--yes", "--map", "timestamp=when", "--behavior", "buy")
    assert done.exit_code == 0, done.output
    (event,) = landed(root, "events").to_dict("records")
    assert event == {
        "timestamp": 1, "user_id": "a", "item_id": "1", "color": "red", "behavior": "buy",
    }  # fmt: skip


def test_a_wrong_mapping_names_the_columns(root, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("u,i,t\n1,2,3\n")
    with pytest.raises(ImportProblem, match="has no column 'x': u, i, t"):
        import_table(root, path, "events", {"user_id": "x"})
    with pytest.raises(ImportProblem, match="colour is no column of items"):
        import_table(root, path, "items", {"colour": "u"})
