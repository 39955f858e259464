import pytest
import torch
import torch.nn.functional as F

from llmrec_assets.core.objectives import (
    sampled_softmax_loss,
    sigmoid_loss,
    softmax_loss,
    threshold_items,
)


def _inputs(n: int = 600, v: int = 50, d: int = 8) -> list[torch.Tensor]:
    """More positions than a block holds."""
    torch.manual_seed(0)
    return [
        torch.randn(n, d, dtype=torch.float64, requires_grad=True),
        torch.randn(v, d, dtype=torch.float64, requires_grad=True),
        torch.randint(0, v, (n,)),
        torch.rand(n, dtype=torch.float64) + 0.5,
    ]


def test_chunked_softmax_equals_the_full_one_in_loss_and_gradient():
    hidden, items, targets, weights = _inputs()
    loss = softmax_loss(hidden, items, targets, weights)
    gradients = torch.autograd.grad(3 * loss, [hidden, items])
    each = F.cross_entropy(hidden @ items.T, targets, reduction="none")
    full = (each * weights).sum() / weights.sum()
    expected = torch.autograd.grad(3 * full, [hidden, items])
    assert torch.allclose(loss, full)
    assert all(torch.allclose(a, b) for a, b in zip(gradients, expected, strict=True))


def test_chunked_softmax_survives_huge_logits():
    hidden, items = torch.full((1, 1), 300.0), torch.tensor([[1.0], [-1.0]])
    assert softmax_loss(hidden, items, torch.tensor([1]), torch.ones(1)).item() == pytest.approx(
        600
    )


def test_chunked_sigmoid_equals_the_full_one_in_loss_and_gradient():
    hidden, items, targets, weights = _inputs()
    offset = torch.tensor(-2.0, dtype=torch.float64, requires_grad=True)
    loss = sigmoid_loss(hidden, items, targets, weights, offset)
    gradients = torch.autograd.grad(loss, [hidden, items, offset])
    labels = F.one_hot(targets, len(items)).double()
    logits = hidden @ items.T + offset
    each = F.binary_cross_entropy_with_logits(logits, labels, reduction="none").sum(1)
    full = (each * weights).sum() / weights.sum()
    expected = torch.autograd.grad(full, [hidden, items, offset])
    assert torch.allclose(loss, full)
    assert all(torch.allclose(a, b) for a, b in zip(gradients, expected, strict=True))


def test_sampled_softmax_comes_near_the_full_one():
    hidden, items, targets, weights = _inputs(n=200, v=20)
    frequency = torch.arange(1, 21, dtype=torch.float64)
    sampled = sampled_softmax_loss(hidden, items, targets, weights, frequency, negatives=20000)
    each = F.cross_entropy(hidden @ items.T, targets, reduction="none")
    full = (each * weights).sum() / weights.sum()
    assert sampled.item() == pytest.approx(full.item(), rel=0.02)


def test_thresholds_apply_to_each_items_own_probability():
    logits = torch.tensor([[float("-inf"), 0.0, 2.0, -2.0]])
    half, likely = threshold_items(logits, [0.5, 0.8])
    assert half.tolist() == [[False, True, True, False]]
    assert likely.tolist() == [[False, False, True, False]]
    with pytest.raises(ValueError, match="between 0 and 1"):
        threshold_items(logits, [1.0])
