"""A few seeded faults; `python -m llmrec_assets_tests.chaos` plays hundreds."""

import json

import pytest

from llmrec_assets_tests.chaos.report import table
from llmrec_assets_tests.chaos.rounds import Chaos

FAULTS = ("kill_at_point", "two_commands", "damage_file")


@pytest.fixture
def unchanged_environment(monkeypatch):
    """The settings of the tiny store are undone."""
    import os

    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        monkeypatch.delenv(name)
    for name, value in before.items():
        monkeypatch.setenv(name, value)


def test_a_store_recovers_from_faults_and_equals_one_that_had_none(tmp_path, unchanged_environment):
    chaos = Chaos(tmp_path, seed=3, tries=2)
    for number, fault in enumerate(FAULTS):
        assert chaos.play(number, [fault])["wrong"] == []
    again = Chaos(tmp_path, seed=3, tries=2)  # what a harness that was killed finds
    assert [row["fault"] for row in again.done()] == list(FAULTS)
    assert table(again.done()).splitlines()[-1].split()[:5] == ["all", "3", "3", "1", "0"]
    with (tmp_path / "rounds.jsonl").open() as file:
        assert all(json.loads(line)["cpu_seconds"] > 0 for line in file)
