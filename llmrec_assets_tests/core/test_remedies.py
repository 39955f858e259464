"""Every error of the product, and what systems say, has a remedy."""

import ast
from pathlib import Path

import pytest

import llmrec_assets
from llmrec_assets.core.remedies import OF_ERRORS, remedy_of

PACKAGE = Path(llmrec_assets.__path__[0])


def raised_by_the_product() -> set[str]:
    """Names of the exception classes that the product defines."""
    bases = {}
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = {base.id for base in node.bases if isinstance(base, ast.Name)}
    known, before = {"Exception", "ValueError", "RuntimeError", "KeyError", "OSError"}, set()
    while known != before:
        before = set(known)
        known |= {name for name, own in bases.items() if own & known}
    return known & bases.keys()


def test_every_error_of_the_product_has_a_remedy():
    assert raised_by_the_product() - OF_ERRORS.keys() == set()


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("[Errno 28] No space left on device: '/data/x'", "room"),
        ("(sqlite3.OperationalError) database or disk is full", "room"),
        ('IO Error: Cannot open file "/data/llmrec.duckdb": Permission denied', "access"),
        ("(sqlite3.OperationalError) attempt to write a readonly database", "access"),
        ("(sqlite3.OperationalError) disk I/O error", "has room"),
        ("(sqlite3.DatabaseError) file is not a database", "backup"),
        ("the process that ran it was killed", "run again"),
    ],
)
def test_what_systems_say_has_a_remedy(said, word):
    assert word in (remedy_of(["DagsterExecutionStepExecutionError"], [said]) or "")


def test_a_named_error_goes_before_words_and_the_unknown_has_none():
    assert remedy_of(["WarehouseBusy"], ["No space left"]) == OF_ERRORS["WarehouseBusy"]
    assert remedy_of(["ZeroDivisionError"], ["division by zero"]) is None
