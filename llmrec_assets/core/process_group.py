"""This process's share of a training that several processes do together.

They are equal: each holds the whole model, learns from its share of every batch, and adds up
gradients with the others, so that all take the step that one process would have taken. Whoever
starts them (Ray, torchrun, nobody) is not known here: only torch.distributed is.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from torch import distributed, nn

PATIENCE = timedelta(minutes=10)  # with a process that says nothing; one that died is seen at once


@dataclass(frozen=True)
class Share:
    """Every `size`-th thing, from number `rank` on."""

    rank: int = 0
    size: int = 1

    @classmethod
    def own(cls) -> "Share":
        """Of this process: everything, unless it joined others."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    def of(self, n: int) -> np.ndarray:
        """Which of n things it has, int64."""
        return np.arange(self.rank, n, self.size)


@contextmanager
def joined(meeting: Path, share: Share) -> Iterator[None]:
    """As one of `share.size` processes that meet by a file which all of them see.

    Raises:
        RuntimeError: another one died, or did not come.
    """
    store = distributed.FileStore(str(meeting), share.size)  # pyright: ignore
    distributed.init_process_group(
        "gloo", store=store, rank=share.rank, world_size=share.size, timeout=PATIENCE
    )
    try:
        yield
    finally:
        distributed.destroy_process_group()


def totals(numbers: Sequence[float]) -> list[float]:
    """The sum of each number over all processes."""
    summed = torch.tensor(numbers, dtype=torch.float64)
    distributed.all_reduce(summed)
    return summed.tolist()


def start_alike(model: nn.Module) -> None:
    """Give all processes the weights of the first: machines differ in last digits."""
    for tensor in model.state_dict().values():
        distributed.broadcast(tensor, 0)


def average_gradients(
    parameters: Sequence[nn.Parameter], weight: float, loss: float, positions: int
) -> tuple[int, float]:
    """Make every gradient that of the mean loss over all processes; all positions, and that loss.

    Args:
        parameters: with the gradients of this process's mean loss, where it has one.
        weight: of this process's positions together.
        loss: their weighted mean.
        positions: how many they are.
    """
    given = [float(p.grad is not None) for p in parameters]
    parts = [torch.zeros_like(p) if p.grad is None else p.grad * weight for p in parameters]
    told = torch.tensor([weight, loss * weight, positions, *given])
    message = torch.cat([told, *(part.flatten() for part in parts)])  # one instead of many
    distributed.all_reduce(message)
    total, losses, everyone, *given = message[: len(told)].tolist()
    gradients = message[len(told) :].split([p.numel() for p in parameters])
    for parameter, known, gradient in zip(parameters, given, gradients, strict=True):
        # A parameter that no process's loss depends on stays without one, as in one process.
        parameter.grad = (gradient / total).view_as(parameter) if known else None
    return round(everyone), losses / total
