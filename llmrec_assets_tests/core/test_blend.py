import numpy as np
import torch

from llmrec_assets.core.blend import fit_powers, log_probabilities
from llmrec_assets.core.sequences import Sequences
from llmrec_assets_tests.core.examples import sequences_of


class Planted:
    """Random scores with the true item's raised by `hint`."""

    def __init__(self, hint: float, seed: int) -> None:
        self.hint, self.seed = hint, seed

    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        rng = np.random.default_rng([self.seed, len(users), int(users[0])])
        scores = torch.from_numpy(rng.normal(size=(len(users), 31))).float()
        scores[np.arange(len(users)), sequences.items[ends].astype(int)] += self.hint
        scores[:, 0] = float("-inf")
        return scores


def _data() -> tuple[Sequences, np.ndarray]:
    items = np.random.default_rng(0).integers(1, 31, (600, 2))
    return sequences_of(items.tolist()), np.arange(1, 1200, 2)


def test_the_expert_that_knows_gets_the_say():
    sequences, targets = _data()
    powers = fit_powers([Planted(2.0, 1), Planted(0.0, 2)], sequences, targets, 30)
    assert powers[0] > 0.5
    assert powers[1] < 0.1


def test_the_powers_are_the_best_there_are():
    sequences, targets = _data()
    experts = [Planted(1.5, 1), Planted(1.0, 2)]
    powers = fit_powers(experts, sequences, targets, 30)

    def loss(powers: list[float]) -> float:
        total, users = 0.0, np.arange(600)
        for chosen in np.split(users, [256, 512]):
            scored = log_probabilities(experts, sequences, targets[chosen], chosen)
            blended = torch.tensordot(torch.tensor(powers), scored, dims=1).log_softmax(1)
            items = torch.from_numpy(sequences.items[targets[chosen]].astype(np.int64)) - 1
            total -= float(blended[torch.arange(len(items)), items].sum())
        doubt = 10 / 2 * sum((power - 1 / 2) ** 2 for power in powers)
        return total + doubt

    best = loss(powers)
    for change in ([0.05, 0], [-0.05, 0], [0, 0.05], [0, -0.05]):
        assert loss([p + c for p, c in zip(powers, change, strict=True)]) > best


def test_without_targets_all_count_alike():
    sequences, _ = _data()
    experts = [Planted(1, 1), Planted(1, 2)]
    assert fit_powers(experts, sequences, np.full(600, -1), 30) == [0.5, 0.5]
