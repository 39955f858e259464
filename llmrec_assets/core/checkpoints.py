"""A model as named tensors and back, and an older model on a newer catalogue."""

import numpy as np
import torch

from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.networks.model import NextItemModel
from llmrec_assets.core.sequences import Catalogue

_BY_ITEM = ("counts", "item.weight")
_BY_BEHAVIOR = ("behavior_counts", "behavior.weight")


def state(model: NextItemModel) -> dict[str, torch.Tensor]:
    """Everything learnt, without the catalogue's text embeddings."""
    return {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}


def load(
    state: dict[str, torch.Tensor], config: ModelConfig, catalogue: Catalogue
) -> NextItemModel:
    """The model that `state` was taken from, over the same items in the same order.

    Raises:
        RuntimeError: the state does not fit the configuration or the catalogue.
    """
    numeric = state.get("numeric.weight")
    model = NextItemModel(config, catalogue, 0 if numeric is None else numeric.shape[1] // 2)
    model.load_state_dict(state)
    if model.has_text:
        model.text.read(catalogue.embeddings)
    return model.eval()


def realign(
    model: NextItemModel,
    old_items: list[str],
    new_items: list[str],
    old_behaviors: list[str],
    new_behaviors: list[str],
    catalogue: Catalogue,
) -> NextItemModel:
    """The same weights over a newer catalogue.

    Items and behaviours are matched by their external ids, which stand in code order (the first
    has code 1). An item the model does not know is ranked by its text alone, and a behaviour it
    does not know counts as absent. Items that are gone are dropped.
    """
    old = state(model)
    items = _old_codes(old_items, new_items)
    behaviors = _old_codes(old_behaviors, new_behaviors)
    gathered = {name: old[name][items] for name in _BY_ITEM}
    gathered |= {name: old[name][behaviors] for name in _BY_BEHAVIOR}
    return load(old | gathered, model.config, catalogue)


def _old_codes(old: list[str], new: list[str]) -> torch.Tensor:
    """For each new code the old one, 0 (padding) for padding and for the unknown: [len(new)+1]."""
    codes = {name: code for code, name in enumerate(old, start=1)}
    return torch.from_numpy(np.array([0, *(codes.get(name, 0) for name in new)], dtype=np.int64))
