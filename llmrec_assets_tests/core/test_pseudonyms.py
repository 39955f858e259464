"""Pseudonyms are stable, need the key, and stay what they are."""

import re

import pytest

from llmrec_assets.core.pseudonyms import Pseudonyms

KEY, OTHER = "k" * 32, "o" * 32


def test_a_pseudonym_is_stable_and_of_its_key():
    names = Pseudonyms(KEY)
    assert names.of("用户 1") == Pseudonyms(KEY).of("用户 1")
    assert names.of("用户 1") != names.of("用户 2")
    assert names.of("用户 1") != Pseudonyms(OTHER).of("用户 1")
    assert re.fullmatch(r"p-[a-z2-7]{32}", names.of("用户 1"))
    assert names.of_all(["a", None]) == [names.of("a"), None]


def test_a_pseudonym_that_comes_back_stays_and_one_that_was_made_up_does_not():
    names = Pseudonyms(KEY)
    known = names.of("a")
    assert names.of(known) == known
    made_up = known[:-1] + ("a" if known[-1] != "a" else "b")
    assert names.of(made_up) != made_up
    assert Pseudonyms(OTHER).of(known) != known
    assert names.of("p-" + "!" * 32) != "p-" + "!" * 32
    assert names.of("p-" + "1" * 32) != "p-" + "1" * 32


def test_keys_of_each_use_differ():
    names = Pseudonyms(KEY)
    assert len({names.map_key.hex(), names.check, KEY}) == 3
    assert not names.map_key.hex().startswith(names.check)


def test_a_short_key_is_no_secret():
    with pytest.raises(ValueError, match=r"16 characters or more.*token_hex"):
        Pseudonyms("secret")
