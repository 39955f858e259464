"""What a person types, as processes of their own."""

import os
import subprocess
import sys

import pandas as pd
import pytest

from llmrec_assets.datasets import demo
from llmrec_assets_tests.conftest import SIX_LINES


@pytest.fixture
def llmrec(root):
    def run(*arguments, **environment):
        variables = {"LLMREC_DATA_DIR": str(root.root), "LLMREC_ENCODER": "bag_of_words"}
        code = "from llmrec_assets.cli import main; main(prog_name='llmrec')"
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=os.environ | variables | environment,
            cwd=root.root.parent,
            capture_output=True,
            text=True,
        )

    return run


def test_run_then_recommend(root, llmrec):
    (root.landing_events / "events.csv").write_text(SIX_LINES)
    (root.landing_items / "items.csv").write_text("item_id,title\n1004,电脑 Laptop\n")
    done = llmrec("run", "--top-k", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("events read", "rejected", "NDCG@10", "decayed_markov", "popularity", "llmrec ui"):
        assert word in done.stdout
    assert pd.read_parquet(root.recommendations)["rank"].max() <= 2
    listed = llmrec("recommend", "1")
    assert listed.returncode == 0
    assert "电脑 Laptop" in listed.stdout
    unknown = llmrec("recommend", "nobody")
    assert unknown.returncode == 1
    assert "no list for that user" in unknown.stderr
    back = llmrec("rollback", "gru-9")
    assert back.returncode == 1
    assert "model version 'gru-9' is not registered; there are: " in back.stderr
    assert "Traceback" not in back.stderr
    assert [path.name for path in root.root.parent.iterdir()] == ["data"]


def test_run_without_events_says_where_they_belong(root, llmrec):
    done = llmrec("run")
    assert done.returncode == 1
    assert str(root.landing_events) in done.stderr


def test_run_says_what_failed(root, llmrec):
    (root.landing_events / "events.csv").write_text("user_id,item_id,timestamp,behavior\n,,,\n")
    done = llmrec("run")
    assert done.returncode == 1
    assert "raw_events_exist" in done.stderr
    assert "rejected_events" in done.stderr


def test_a_wrong_setting_is_named(root, llmrec):
    (root.landing_events / "events.csv").write_text(SIX_LINES)
    done = llmrec("run", LLMREC_TOP_K="many")
    assert done.returncode == 1
    assert "LLMREC_TOP_K='many'" in done.stderr
    assert "Traceback" not in done.stderr


def test_recommend_before_any_run_says_what_to_do(llmrec):
    done = llmrec("recommend", "1")
    assert done.returncode == 1
    assert "llmrec run" in done.stderr


def test_the_demo_takes_no_files_but_its_own(root, llmrec):
    foreign = root.demo.landing_events / "mine.csv"
    foreign.parent.mkdir(parents=True)
    foreign.write_text(SIX_LINES)
    done = llmrec("demo")
    assert done.returncode == 1
    assert "mine.csv" in done.stderr
    assert not list(root.demo.landing_events.glob("shop*"))
    with pytest.raises(demo.ForeignFiles):
        demo.prepare(root.demo, seed=7)
