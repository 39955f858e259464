from collections.abc import Iterator

import numpy as np
import torch

from llmrec_assets.core.candidates import Candidates
from llmrec_assets.core.reranker import Examples, fit_reranker, log_total


def examples(signal: float, users: int = 400, width: int = 12, seed: int = 0) -> Examples:
    """Users with `width` candidates each; the second feature of the target is raised."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(users * width, 4, generator=generator)
    features[:, 0] = 0.0  # the prior finds all alike
    targets = torch.randint(0, width, (users,), generator=generator)
    features[torch.arange(users) * width + targets, 1] += signal

    def blocks() -> Iterator[tuple[Candidates, torch.Tensor]]:
        rows = torch.arange(users).repeat_interleave(width)
        codes = torch.arange(1, width + 1).repeat(users)
        half = users // 2 * width
        yield Candidates(rows[:half], codes[:half], features[:half]), targets[: users // 2] + 1
        second = Candidates(rows[half:] - users // 2, codes[half:], features[half:])
        yield second, targets[users // 2 :] + 1

    return Examples.of(blocks())


def test_it_learns_what_tells_the_target():
    fitted = fit_reranker(examples(2.0), seed=0)
    assert fitted is not None
    unknown = examples(2.0, seed=1)
    with torch.no_grad():
        features, _, targets = unknown.batch(np.arange(len(unknown)))
        best = fitted(features).view(len(unknown), -1).argmax(1)
    found = (best + 12 * torch.arange(len(unknown)) == targets).float().mean()
    assert found > 0.5  # by chance a twelfth


def test_it_is_left_out_where_features_say_nothing_or_targets_are_few():
    assert fit_reranker(examples(0.0), seed=0) is None
    assert fit_reranker(examples(5.0, users=39), seed=0) is None


def test_the_same_seed_gives_the_same_weights():
    states = [fit_reranker(examples(2.0), seed=seed) for seed in (0, 0, 1)]
    a, b, c = (dict(fitted.state_dict()) for fitted in states if fitted is not None)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert any(not torch.equal(a[name], c[name]) for name in a)


def test_only_users_whose_target_is_a_candidate_are_examples():
    candidates = Candidates(
        torch.tensor([0, 0, 1, 1, 3]), torch.tensor([1, 2, 1, 3, 4]), torch.arange(5.0)[:, None]
    )
    found = Examples.of(iter([(candidates, torch.tensor([2, 9, 1, 4]))]))
    assert found.features[:, 0].tolist() == [0, 1, 4]
    assert found.offsets.tolist() == [0, 2, 3]
    assert found.targets.tolist() == [1, 2]


def test_totals_by_owner_survive_huge_scores():
    scores = torch.tensor([1000.0, 1000.0, -1000.0])
    total = log_total(scores, torch.tensor([0, 0, 2]), 3)
    assert torch.allclose(total[[0, 2]], torch.tensor([1000.6931, -1000.0]))
    assert total[1] == float("-inf")
