from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from llmrec_assets.core.candidates import Candidates
from llmrec_assets.core.reranker import FOLDS, Examples, Reranker, fit_reranker, log_total


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
    states = []
    for drawn_before, seed in enumerate((0, 0, 1)):
        torch.manual_seed(drawn_before)
        states.append(fit_reranker(examples(2.0, users=150), seed))
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


def test_without_any_hit_there_are_no_examples():
    candidates = Candidates(torch.tensor([0, 1]), torch.tensor([1, 2]), torch.zeros(2, 3))
    found = Examples.of(iter([(candidates, torch.tensor([9, 9]))]))
    assert len(found) == 0
    assert fit_reranker(found, seed=0) is None


def test_a_fold_never_sees_the_targets_it_is_judged_on():
    plain = examples(3.0, users=80)
    targets = plain.targets.copy()
    targets[5] = plain.offsets[5] + (targets[5] - plain.offsets[5] + 1) % 12
    a, b = (fit_reranker(data, seed=0) for data in (plain, replace(plain, targets=targets)))
    assert a is not None
    assert b is not None
    alike = [
        all(torch.equal(x, y) for x, y in zip(one.parameters(), other.parameters(), strict=True))
        for one, other in zip(a.folds, b.folds, strict=True)
    ]
    assert sum(alike) == 1  # the fold that user 5 was kept out of
    assert len(alike) == FOLDS


@pytest.mark.parametrize("seed", range(3))
def test_a_prior_that_says_all_is_not_corrected(seed):
    data = examples(0.0, seed=seed, users=120)
    told = torch.randn(len(data.features), generator=torch.Generator().manual_seed(seed + 9))
    told[torch.from_numpy(data.targets)] += 2.0
    data.features[:, 0] = 2.0 * told  # the log-odds of being the target
    assert fit_reranker(data, seed) is None


def test_what_never_varied_has_no_say_when_it_does():
    data = examples(2.0)
    data.features[:, 2] = 0.3
    fitted = fit_reranker(data, seed=0)
    assert fitted is not None
    changed = data.features.clone()
    changed[::2, 2] = 1.0
    with torch.no_grad():
        assert torch.equal(fitted(changed), fitted(data.features))


def test_it_adds_the_mean_of_its_networks_to_the_prior():
    features = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    reranker = Reranker(5).eval()
    assert torch.equal(reranker(features), features[:, 0])
    for place, correction in enumerate(reranker.folds):
        correction.line.weight.data[0, 1] = place  # pyright: ignore
    expected = features[:, 0] + features[:, 1] * (sum(range(FOLDS)) / FOLDS)
    assert torch.allclose(reranker(features), expected)


def test_the_state_of_the_global_generator_is_left_alone():
    torch.manual_seed(3)
    state = torch.get_rng_state()
    fit_reranker(examples(2.0, users=60), seed=0)
    assert torch.equal(torch.get_rng_state(), state)
