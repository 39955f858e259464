import os
import subprocess
import sys

import pytest

from llmrec_assets.settings import SettingError, choice, setting


def test_a_setting_has_the_type_of_its_default(monkeypatch):
    monkeypatch.setenv("LLMREC_X", "7")
    assert setting("X", 1) == 7
    assert setting("X", 1.0) == 7.0
    assert setting("X", "a") == "7"
    monkeypatch.setenv("LLMREC_X", "no")
    assert setting("X", True) is False
    monkeypatch.delenv("LLMREC_X")
    assert setting("X", True) is True


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("many", lambda: setting("X", 1)),
        ("0", lambda: setting("X", 1, minimum=1)),
        ("2", lambda: setting("X", 0.5, maximum=1)),
        ("perhaps", lambda: setting("X", True)),
        ("c", lambda: choice("X", "a", ("a", "b"))),
    ],
)
def test_a_wrong_value_is_refused_by_name(monkeypatch, text, call):
    monkeypatch.setenv("LLMREC_X", text)
    with pytest.raises(SettingError, match=rf"LLMREC_X='{text}'"):
        call()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LLMREC_TOP_K", "0"),
        ("LLMREC_NETWORK", "mamba"),
        ("LLMREC_ENCODER", "no/such/folder"),
        ("LLMREC_DUCKDB_MEMORY", "much"),
        ("LLMREC_TEXT_TEMPLATE", "{{ titel }}"),
    ],
)
def test_a_wrong_value_fails_when_definitions_load(variable, value):
    done = subprocess.run(
        [sys.executable, "-c", "import llmrec_assets.definitions"],
        env=os.environ | {variable: value},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert variable in done.stderr
