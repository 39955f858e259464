"""Padded batches of event windows as tensors, and the plan of which windows make a batch."""

from dataclasses import dataclass

import numpy as np
import torch

from llmrec_assets.core.sequences import Sequences, padded_rows


@dataclass(frozen=True)
class Batch:
    """B windows of at most L events, oldest first, padding on the right."""

    items: torch.Tensor  # int64 [B, L], 0 = padding
    behaviors: torch.Tensor  # int64 [B, L], 0 = padding
    text_rows: torch.Tensor  # int64 [B, L], -1 = none
    numeric: torch.Tensor  # float32 [B, L, F], NaN = unknown
    lengths: torch.Tensor  # int64 [B], at least 1


def batch_of(sequences: Sequences, rows: np.ndarray) -> Batch:
    """The events at positions `rows` (int64 [B, L], -1 = padding) as tensors."""
    columns = (sequences.items, sequences.behaviors, sequences.text_rows)
    items, behaviors, text_rows = (
        torch.from_numpy(_gather(column, rows, fill).astype(np.int64))
        for column, fill in zip(columns, (0, 0, -1), strict=True)
    )
    numeric = torch.from_numpy(_gather(sequences.numeric, rows, np.nan))
    lengths = torch.from_numpy(np.maximum((rows >= 0).sum(1), 1))
    return Batch(items, behaviors, text_rows, numeric, lengths)


def _gather(column: np.ndarray, rows: np.ndarray, fill: float) -> np.ndarray:
    """`column` at `rows`, and `fill` where a row is -1; the column may be empty."""
    gathered = np.full((*rows.shape, *column.shape[1:]), fill, dtype=column.dtype)
    gathered[rows >= 0] = column[rows[rows >= 0]]
    return gathered


def history_batch(
    sequences: Sequences, users: np.ndarray, ends: np.ndarray, max_length: int
) -> Batch:
    """The last `max_length` events of each of `users` before position `ends`."""
    return batch_of(sequences, padded_rows(sequences.starts[users], ends, max_length))


def training_windows(
    starts: np.ndarray, ends: np.ndarray, max_length: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cut every user's events into windows of at most `max_length` inputs.

    Consecutive windows share no target and together hold every target. Where a long sequence is
    cut is drawn anew each time, so that no position always lacks its history.

    Returns:
        (first, last): a window's inputs are the events first..last-1, its targets first+1..last;
        both int64 [windows].
    """
    inputs = np.maximum(ends - starts - 1, 0)
    users = np.flatnonzero(inputs)
    starts, inputs = starts[users], inputs[users]
    # A first window of 1..max_length inputs shifts all later cuts of a long sequence.
    head = np.where(inputs > max_length, rng.integers(1, max_length + 1, len(inputs)), inputs)
    pieces = 1 + -(-(inputs - head) // max_length)
    owner = np.repeat(np.arange(len(users)), pieces)
    piece = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    first = np.where(piece == 0, 0, head[owner] + (piece - 1) * max_length)
    last = np.minimum(head[owner] + piece * max_length, inputs[owner])
    return starts[owner] + first, starts[owner] + last


def bucketed(lengths: np.ndarray, budget: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Group windows of like length into batches of about `budget` events, in random order."""
    order = rng.permutation(len(lengths))
    order = order[np.argsort(lengths[order], kind="stable")]
    batch = (np.cumsum(lengths[order]) - 1) // budget
    groups = np.split(order, np.flatnonzero(np.diff(batch)) + 1)
    return [groups[i] for i in rng.permutation(len(groups))]
