"""A fitted scorer as named arrays and plain facts, and back: no pickle, nothing fitted anew.

An array that several scorers share is kept once. Legend: V items, T texts, k components.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from llmrec_assets.core.baselines import DecayedMarkov, Popularity
from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.content import HistorySimilarity, TextSimilarity, WordSimilarity
from llmrec_assets.core.ease import Ease
from llmrec_assets.core.item_clock import ItemClock
from llmrec_assets.core.naive_bayes import NaiveBayes
from llmrec_assets.core.neighbours import ItemNeighbours
from llmrec_assets.core.networks.model import NextItemModel
from llmrec_assets.core.networks.scoring import NetworkScorer
from llmrec_assets.core.own_history import OwnHistory
from llmrec_assets.core.ranking import Scorer
from llmrec_assets.core.recent_popularity import RecentPopularity
from llmrec_assets.core.recommender import Experts, Recommender
from llmrec_assets.core.reranker import Reranker
from llmrec_assets.core.sequences import Catalogue

_COUNTING: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        DecayedMarkov, Ease, HistorySimilarity, ItemClock, ItemNeighbours, NaiveBayes, OwnHistory,
        Popularity, RecentPopularity, TextSimilarity, WordSimilarity,
    )
}  # fmt: skip
_CSR = ("data", "indices", "indptr")


@dataclass(frozen=True)
class ScorerState:
    """Arrays by name, and JSON that says what they are of."""

    arrays: dict[str, torch.Tensor]
    facts: dict[str, Any]


def state_of(scorer: Scorer) -> ScorerState:
    """Everything that `scorer` ranks by.

    Raises:
        TypeError: a kind of scorer, or of attribute, that is not known.
    """
    arrays = _Arrays()
    if not isinstance(scorer, Recommender):
        return ScorerState(arrays.kept, {"baseline": _parts(scorer, arrays)})
    experts = scorer.experts
    facts: dict[str, Any] = {
        "powers": dict(scorer.powers),
        "prior": {name: _parts(expert, arrays) for name, expert in experts.prior.items()},
        "further": {name: _parts(expert, arrays) for name, expert in experts.further.items()},
        "clock": _parts(experts.clock, arrays),
    }
    if scorer.reranker is not None:
        state = scorer.reranker.state_dict()
        facts["reranker"] = {name: arrays.keep(value) for name, value in state.items()}
    return ScorerState(arrays.kept, facts)


def scorer_of(state: ScorerState) -> Scorer:
    """The scorer that `state` was taken from; it shares the memory of the state's arrays.

    Raises:
        KeyError: an array is missing, or a kind is not known.
    """
    facts, arrays = state.facts, state.arrays
    if "baseline" in facts:
        return _whole(facts["baseline"], arrays)
    experts = Experts(
        {name: _whole(parts, arrays) for name, parts in facts["prior"].items()},
        {name: _whole(parts, arrays) for name, parts in facts["further"].items()},
        _whole(facts["clock"], arrays),
    )
    reranker = None
    if "reranker" in facts:
        kept = {name: arrays[key] for name, key in facts["reranker"].items()}
        reranker = Reranker(len(kept["mean"]))
        reranker.load_state_dict(kept)
        reranker.eval()
    return Recommender(experts, facts["powers"], reranker)


class _Arrays:
    """Arrays under running numbers, each once."""

    def __init__(self) -> None:
        self.kept: dict[str, torch.Tensor] = {}
        self.names: dict[tuple[int, tuple[int, ...], torch.dtype], str] = {}

    def keep(self, array: np.ndarray | torch.Tensor) -> str:
        """The name under which the array is kept."""
        if isinstance(array, np.ndarray):
            array = torch.from_numpy(np.require(array, requirements=["C", "W"]))
        tensor = array.detach().contiguous()
        identity = (tensor.data_ptr(), tuple(tensor.shape), tensor.dtype)
        if not tensor.numel() or identity not in self.names:
            self.names[identity] = f"a{len(self.kept)}"
            self.kept[self.names[identity]] = tensor
        return self.names[identity]


def _parts(scorer: object, arrays: _Arrays) -> dict[str, Any]:
    """Kind and attributes of one scorer: arrays by their names, all else as it is."""
    if isinstance(scorer, NetworkScorer):
        return _parts_of_network(scorer.model, arrays)
    kind = type(scorer).__name__
    if kind not in _COUNTING:
        raise TypeError(f"a {kind} cannot be kept as arrays")
    described: dict[str, Any] = {"kind": kind}
    for name, value in vars(scorer).items():
        if isinstance(value, np.ndarray | torch.Tensor):
            how = "tensor" if isinstance(value, torch.Tensor) else "array"
            described[name] = {how: arrays.keep(value)}
        elif sp.issparse(value):
            csr = {part: arrays.keep(getattr(value, part)) for part in _CSR}
            described[name] = {"csr": csr, "shape": list(value.shape)}
        elif isinstance(value, bool | int | float | str):
            described[name] = value
        else:
            raise TypeError(f"{kind}.{name} is a {type(value).__name__}, which cannot be kept")
    return described


def _whole(parts: dict[str, Any], arrays: dict[str, torch.Tensor]) -> Any:  # noqa: ANN401
    """The scorer of such parts."""
    if parts["kind"] == "network":
        return NetworkScorer(_network(parts, arrays))
    kind = _COUNTING[parts["kind"]]
    scorer = object.__new__(kind)  # not fitted: all it holds was kept
    for name, value in parts.items():
        if name != "kind":
            setattr(scorer, name, _value(value, arrays))
    return scorer


def _value(value: Any, arrays: dict[str, torch.Tensor]) -> Any:  # noqa: ANN401
    if not isinstance(value, dict):
        return value
    if "csr" in value:
        parts = tuple(arrays[value["csr"][part]].numpy() for part in _CSR)
        return sp.csr_array(parts, shape=tuple(value["shape"]))
    if "tensor" in value:
        return arrays[value["tensor"]]
    return arrays[value["array"]].numpy()


def _parts_of_network(model: NextItemModel, arrays: _Arrays) -> dict[str, Any]:
    """A network: what it learnt, and of the texts only what their basis left of them."""
    state = {name: arrays.keep(value) for name, value in model.state_dict().items()}
    parts: dict[str, Any] = {
        "kind": "network",
        "config": model.config.model_dump(mode="json"),
        "numeric": model.n_numeric,
        "state": state,
        "text_rows": arrays.keep(model.item_text_rows),
    }
    if model.has_text:
        parts["text_table"] = arrays.keep(model.text.table)
    return parts


def _network(parts: dict[str, Any], arrays: dict[str, torch.Tensor]) -> NextItemModel:
    state = {name: arrays[key] for name, key in parts["state"].items()}
    rows = arrays[parts["text_rows"]].numpy().astype(np.int32)
    embeddings = np.zeros((0, 0), dtype=np.float32)
    if "text_table" in parts:  # one cell, seen as a matrix: the table is given, not computed
        size = (len(arrays[parts["text_table"]]) - 1, len(state["text.mean"]))
        embeddings = np.broadcast_to(np.float32(0), size)
    catalogue = Catalogue(
        n_items=len(state["counts"]) - 1,
        text_rows=rows,
        embeddings=embeddings,
        n_behaviors=len(state["behavior_counts"]) - 1,
    )
    model = NextItemModel(ModelConfig(**parts["config"]), catalogue, parts["numeric"])
    model.load_state_dict(state)
    if "text_table" in parts:
        model.text.table = arrays[parts["text_table"]]
    return model.eval()
