"""Cells that are safe in a spreadsheet and come back as they were."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmrec_assets.core.spreadsheet import guarded, unguarded


@given(st.text())
@example("'=1+1")
@example("''")
@example("'007")
def test_every_text_comes_back(text):
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-2", "@sum(a1)", "\tx", "\rx", "\n=1", "＝1"])
def test_no_cell_runs_as_a_formula(text):
    assert guarded(text) == "'" + text


@pytest.mark.parametrize("text", ["007", "123456789012", "2024-01-05", "1E5", "3-4", "1.50"])
def test_what_a_spreadsheet_would_turn_into_another_number_is_kept(text):
    assert guarded(text) == "'" + text


@pytest.mark.parametrize("text", ["5", "4.5", "0", "u17", "", "a=b", "红色"])
def test_other_cells_stay_as_they_are(text):
    assert guarded(text) == text


def test_what_a_person_types_is_meant():
    assert unguarded("'s-Hertogenbosch") == "'s-Hertogenbosch"
    assert unguarded("-5") == "-5"
