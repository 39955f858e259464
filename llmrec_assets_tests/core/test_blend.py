import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp

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
            history = (sequences, targets[chosen], chosen)
            scored = torch.stack([log_probabilities(expert, *history) for expert in experts])
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


class Known:
    """Scores [U, V] that are given."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = torch.from_numpy(scores).float()

    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        return torch.nn.functional.pad(self.scores[users], (1, 0), value=float("-inf"))


def _experts(rng: np.random.Generator, goals: np.ndarray, n: int) -> list[Known]:
    """Good, useless and misleading ones, that say it far too loudly or too quietly."""
    found = []
    for _ in range(n):
        scores = rng.normal(size=(len(goals), 12))
        scores[np.arange(len(goals)), goals - 1] += rng.choice([-0.5, 0.0, 0.5, 1.5, 3.0])
        found.append(Known(scores * rng.choice([0.05, 0.3, 1.0, 3.0, 20.0])))
    return found


def _is_the_optimum(experts: list[Known], goals: np.ndarray) -> bool:
    """Whether the fitted powers are what a solver finds that only knows the objective."""
    n, users = len(experts), np.arange(len(goals))
    scored = np.stack([expert.scores.double().log_softmax(1).numpy() for expert in experts])
    own = scored[:, users, goals - 1]

    def loss(powers: np.ndarray) -> tuple[float, np.ndarray]:
        blended = np.tensordot(powers, scored, 1)
        total = logsumexp(blended, 1)
        chances = np.exp(blended - total[:, None])
        gradient = (scored * chances).sum((1, 2)) - own.sum(1)
        doubt = 10 / 2 * ((powers - 1 / n) ** 2).sum()
        return (total - powers @ own).sum() + doubt, gradient + 10 * (powers - 1 / n)

    best = minimize(
        loss, np.full(n, 1 / n), jac=True, bounds=[(0.01, 3)] * n, options={"ftol": 1e-13}
    )
    sequences = sequences_of([[1, goal] for goal in goals.tolist()])
    powers = np.array(fit_powers(experts, sequences, 2 * users + 1, scored.shape[2]))
    near = np.abs(powers - best.x).max() < 0.01
    return bool(near and loss(powers)[0] < best.fun + 1e-3)


# In 107 the way is long, in 134 and 137 an expert would have more than the most.
@pytest.mark.parametrize("seed", [*range(10), 107, 134, 137])
def test_the_powers_are_the_optimum_within_their_bounds(seed):
    rng = np.random.default_rng(seed)
    goals = rng.integers(1, 13, (150, 2))[:, 1]
    assert _is_the_optimum(_experts(rng, goals, int(rng.integers(1, 6))), goals)


@pytest.mark.parametrize("seed", range(5))
def test_experts_that_know_few_items_do_not_make_the_powers_leap(seed):
    rng = np.random.default_rng(seed)
    goals, users = rng.integers(1, 1001, 200), np.arange(200)
    experts = []
    for _ in range(3):
        near = np.zeros((200, 1000))
        near[users[:, None], rng.integers(0, 1000, (200, 5))] = rng.random((200, 5))
        knows = rng.random(200) < 0.3
        near[users[knows], goals[knows] - 1] = rng.random(knows.sum())
        experts.append(Known(np.log(near + 1e-3)))
    assert _is_the_optimum(experts, goals)


def test_only_a_draw_of_the_targets_is_used():
    sequences, targets = _data()
    experts = [Planted(1.5, 1), Planted(1.0, 2)]
    drawn = fit_powers(experts, sequences, targets, 30, max_users=50, seed=1)
    assert drawn == fit_powers(experts, sequences, targets, 30, max_users=50, seed=1)
    assert drawn != fit_powers(experts, sequences, targets, 30, max_users=50, seed=2)
