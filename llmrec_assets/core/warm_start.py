"""Train on from an older model's weights instead of from nothing.

What the older model knows stays where it is; what it never saw starts at zero, so that a new item
is ranked by its text alone until it is trained. Statistics of the training period (counts, basis of
the texts) are those of the newer one.
"""

import torch

from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.networks.model import NextItemModel

# What may differ between two models of which one goes on from the other.
_SCHEDULE = {
    "batch_events", "hide_seen", "learning_rate", "max_epochs", "negatives", "patience", "seed",
    "threads", "validation_users", "weight_decay",
}  # fmt: skip
_NUMERIC = "numeric.weight"
_BY_CODE = {"item.weight": "counts", "behavior.weight": "behavior_counts"}


class CannotContinue(Exception):
    """The older weights are none to start from; it says why."""


def shortened(config: ModelConfig) -> ModelConfig:
    """The schedule of a warm start: a fifth of the epochs at a third of the learning rate."""
    return config.model_copy(
        update={
            "max_epochs": max(1, config.max_epochs // 5),
            "learning_rate": config.learning_rate / 3,
        }
    )


def require_same(older: ModelConfig, config: ModelConfig) -> None:
    """Check that both describe one network with one objective.

    Raises:
        CannotContinue: they do not.
    """
    theirs, ours = older.model_dump(exclude=_SCHEDULE), config.model_dump(exclude=_SCHEDULE)
    changed = sorted(name for name in ours if ours[name] != theirs[name])
    if changed:
        raise CannotContinue(f"it was trained with another {', '.join(changed)}")


@torch.no_grad()
def inherit(model: NextItemModel, older: NextItemModel) -> None:
    """Overwrite the weights of a fresh `model` with those of `older`, over the same catalogue.

    Vectors of items and behaviours that `older` was trained on are bit-equal afterwards. Numeric
    features that it did not have start at zero too.

    Raises:
        CannotContinue: the weights have other shapes, or `older` was trained on events that the
            training period of `model` lacks: they are held out now, or were removed.
    """
    old: dict[str, torch.Tensor] = dict(older.named_parameters())
    own = dict(model.named_parameters())
    if _NUMERIC in own and _NUMERIC in old:
        old[_NUMERIC] = _with_further_features(old[_NUMERIC], model.n_numeric)
    shapes = {name: tuple(weights.shape) for name, weights in own.items()}
    if shapes != {name: tuple(weights.shape) for name, weights in old.items()}:
        raise CannotContinue("its weights have other shapes")
    for name in _BY_CODE.values():
        beyond = (older.get_buffer(name) - model.get_buffer(name)).clamp(min=0).sum().item()
        if beyond:
            raise CannotContinue(f"{beyond} events that it was trained on are no training events")
    for name, weights in own.items():
        weights.copy_(old[name])
    for name, counts in _BY_CODE.items():
        own[name][older.get_buffer(counts) == 0] = 0
    if model.has_text:
        own["text.project.weight"].copy_(_projected_anew(model, older))


def _with_further_features(weights: torch.Tensor, n: int) -> torch.Tensor:
    """Weights [d, 2 n] of `n` features and whether each is missing, from those of the first few."""
    halves = weights.chunk(2, 1)
    further = max(0, n - halves[0].shape[1])
    return torch.cat([torch.nn.functional.pad(half, (0, further)) for half in halves], 1)


def _projected_anew(model: NextItemModel, older: NextItemModel) -> torch.Tensor:
    """The older projection of texts, [d, k], for the newer principal components.

    Both bases [D, k] describe the same texts x: x B_old = (x B_new) pinv(B_new) B_old, but for what
    the newer components leave out.
    """
    new, old = model.text.basis.double(), older.text.basis.double()
    turned = torch.linalg.pinv(new) @ old  # [k, k]
    return (older.text.project.weight.double() @ turned.T).float()
