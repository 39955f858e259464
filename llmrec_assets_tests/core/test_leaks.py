"""Every kind of leak, planted."""

from dataclasses import replace

import numpy as np
import pytest

from llmrec_assets.core.leaks import leaks_of_model, leaks_of_split
from llmrec_assets.core.sequences import flat_rows
from llmrec_assets.core.splits import Split, leave_one_out
from llmrec_assets.core.training import fit
from llmrec_assets_tests.core.examples import catalogue, cycles, small


def called_train(split: Split) -> np.ndarray:
    sequences = cycles()
    flags = np.zeros(len(sequences.items), dtype=bool)
    flags[flat_rows(sequences.starts, split.train_end)[0]] = True
    return flags


def test_a_clean_split_has_none():
    split = leave_one_out(cycles())
    assert not any(leaks_of_split(cycles(), split, called_train(split)).values())


@pytest.mark.parametrize(
    ("leak", "planted"),
    [
        ("targets_in_training", lambda s: replace(s, train_end=s.test + 1)),
        ("targets_in_training", lambda s: replace(s, validation=s.train_end - 1)),
        ("last_two_events_in_training", lambda s: replace(s, train_end=s.train_end + 1)),
        ("targets_of_another_user", lambda s: replace(s, test=np.roll(s.test, 1))),
        ("test_targets_before_validation", lambda s: replace(s, validation=s.test)),
    ],
)
def test_a_wrong_split_is_found(leak, planted):
    split = leave_one_out(cycles())
    found = leaks_of_split(cycles(), planted(split), called_train(split))
    assert found[leak] >= cycles().n_users - 1


def test_held_out_events_in_statistics_and_events_out_of_order_are_found():
    sequences, split = cycles(), leave_one_out(cycles())
    everything = np.ones(len(sequences.items), dtype=bool)
    found = leaks_of_split(sequences, split, everything)
    assert found["held_out_events_called_train"] == 2 * sequences.n_users
    backwards = replace(sequences, times=sequences.times[::-1].copy())
    assert leaks_of_split(backwards, split, called_train(split))["events_out_of_order"] > 0


def test_a_network_that_saw_held_out_events_is_found():
    sequences, goods = cycles(), catalogue(6)
    split = leave_one_out(sequences)
    # Item 6 occurs in training too, but here only after it.
    items = np.where((sequences.items == 6) & called_train(split), 1, sequences.items).astype(
        np.int32
    )
    sequences = replace(sequences, items=items)
    for ends, clean in ((split.train_end, True), (sequences.offsets[1:], False)):
        model = fit(sequences, goods, small(max_epochs=1), ends).model
        found = leaks_of_model(model, sequences, goods, split.train_end)
        assert (found["items_counted_beyond_training"] == 0) is clean
        assert (found["behaviors_counted_beyond_training"] == 0) is clean
        assert (found["text_dimensions_centred_beyond_training"] == 0) is clean
