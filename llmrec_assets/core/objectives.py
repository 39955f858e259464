"""What a network is trained for: the next item by softmax (exact or sampled), or each by sigmoid.

Legend: N positions, V candidate items, d width. Targets index the candidates' rows.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from llmrec_assets.core.blocks import rows_of

LEAST_ROWS = 16  # fewer would waste the matrix product


class _Chunked(torch.autograd.Function):
    """Weighted mean over positions of a loss of all their logits; holds a block's logits at most.

    The gradient is made in the forward pass, while the block's logits are at hand, so that memory
    stays at N*d + V*d + block*V numbers instead of N*V.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 (torch gives it no usable type)
        hidden_Nd: torch.Tensor,
        items_Vd: torch.Tensor,
        targets_N: torch.Tensor,
        weights_N: torch.Tensor,
        differentiate: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    ) -> torch.Tensor:
        """Loss, with the gradients kept for the backward pass."""
        hidden_grad, items_grad = torch.empty_like(hidden_Nd), torch.zeros_like(items_Vd)
        total = hidden_Nd.new_zeros((), dtype=torch.float64)
        rows = rows_of(len(items_Vd), LEAST_ROWS)
        for start in range(0, len(hidden_Nd), rows):
            block = slice(start, start + rows)
            logits = hidden_Nd[block] @ items_Vd.T
            total += differentiate(logits, targets_N[block, None]) @ weights_N[block].double()
            logits.mul_(weights_N[block, None])
            torch.mm(logits, items_Vd, out=hidden_grad[block])
            items_grad.addmm_(logits.T, hidden_Nd[block])
        ctx.save_for_backward(hidden_grad, items_grad)
        ctx.total_weight = float(weights_N.sum())
        return (total / ctx.total_weight).to(hidden_Nd.dtype)

    @staticmethod
    def backward(
        ctx: Any,  # noqa: ANN401
        *grad_outputs: torch.Tensor,
    ) -> tuple[torch.Tensor | None, ...]:
        """Scale the gradients that the forward pass made."""
        hidden_grad, items_grad = ctx.saved_tensors
        scale = grad_outputs[0] / ctx.total_weight
        return scale * hidden_grad, scale * items_grad, None, None, None


def _softmax_block(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each position, float64; turns `logits` into its gradient."""
    logits.sub_(logits.amax(1, keepdim=True))
    target_logits = logits.gather(1, targets)
    normalizer = logits.exp_().sum(1, keepdim=True)
    logits.div_(normalizer)
    logits.scatter_add_(1, targets, torch.full_like(target_logits, -1.0))
    return (normalizer.log() - target_logits)[:, 0].double()


def _sigmoid_block(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of each position, float64; turns `logits` into its gradient."""
    target_logits = logits.gather(1, targets)
    loss = F.softplus(logits).sum(1, dtype=torch.float64) - target_logits[:, 0]
    logits.sigmoid_().scatter_add_(1, targets, torch.full_like(target_logits, -1.0))
    return loss


def softmax_loss(
    hidden_Nd: torch.Tensor,
    items_Vd: torch.Tensor,
    targets_N: torch.Tensor,
    weights_N: torch.Tensor,
) -> torch.Tensor:
    """Exact weighted mean cross-entropy of `hidden @ items.T` over all V items.

    Memory is constant in the number of positions.
    """
    return _Chunked.apply(hidden_Nd, items_Vd, targets_N, weights_N, _softmax_block)  # pyright: ignore


def sampled_softmax_loss(
    hidden_Nd: torch.Tensor,
    items_Vd: torch.Tensor,
    targets_N: torch.Tensor,
    weights_N: torch.Tensor,
    frequency_V: torch.Tensor,
    negatives: int,
) -> torch.Tensor:
    """Cross-entropy against negatives drawn by frequency and shared by the batch.

    The logQ correction (Bengio & Senécal 2008; Yi et al. 2019) takes log(draws * probability) off
    every negative's logit, so that popular items, drawn more often, are not pushed down more.

    Args:
        hidden_Nd: one vector a position.
        items_Vd: one vector a candidate.
        targets_N: the candidate that came next.
        weights_N: how much each position counts.
        frequency_V: how often each candidate occurs in training; all above 0.
        negatives: how many are drawn, with replacement.
    """
    probability_V = frequency_V / frequency_V.sum()
    drawn = torch.multinomial(probability_V, negatives, replacement=True)
    target_logits = (hidden_Nd * items_Vd[targets_N]).sum(1, keepdim=True)
    logits = hidden_Nd @ items_Vd[drawn].T - (negatives * probability_V[drawn]).log()
    logits = logits.masked_fill(drawn == targets_N[:, None], float("-inf"))
    everything = torch.cat([target_logits, logits], 1)
    losses_N = F.cross_entropy(everything, torch.zeros_like(targets_N), reduction="none")
    return (losses_N * weights_N).sum() / weights_N.sum()


def sigmoid_loss(
    hidden_Nd: torch.Tensor,
    items_Vd: torch.Tensor,
    targets_N: torch.Tensor,
    weights_N: torch.Tensor,
    offset: torch.Tensor,
) -> torch.Tensor:
    """Binary cross-entropy of every item at every position, summed over items.

    Args:
        hidden_Nd: one vector a position.
        items_Vd: one vector a candidate.
        targets_N: the candidate that came next.
        weights_N: how much each position counts.
        offset: a learnt scalar added to all logits, since nearly all labels are 0.
    """
    # The offset rides along as one more dimension, on which every position is 1.
    hidden = torch.cat([hidden_Nd, hidden_Nd.new_ones(len(hidden_Nd), 1)], 1)
    items = torch.cat([items_Vd, offset.expand(len(items_Vd), 1)], 1)
    return _Chunked.apply(hidden, items, targets_N, weights_N, _sigmoid_block)  # pyright: ignore


def threshold_items(logits: torch.Tensor, thresholds: list[float]) -> list[torch.Tensor]:
    """Which items are likely enough under the sigmoid objective.

    Args:
        logits: [B, V+1], column 0 is padding (-inf).
        thresholds: probabilities strictly between 0 and 1.

    Returns:
        A bool [B, V+1] for each threshold: the item's own probability reaches it.

    Raises:
        ValueError: a threshold is not a probability.
    """
    if not all(0 < threshold < 1 for threshold in thresholds):
        raise ValueError(f"thresholds must lie between 0 and 1, got {thresholds}")
    probabilities = torch.sigmoid(logits)
    return [probabilities >= threshold for threshold in thresholds]
