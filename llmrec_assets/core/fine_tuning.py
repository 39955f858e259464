"""Fine-tuning a transformer that encodes texts by what people consume together.

Where the linear head of `head_tuning` ends, this begins: the head becomes a layer of the model, and
the transformer beneath it is trained with sentence-transformers' trainer, either through low-rank
adapters on all its linear layers (LoRA, Hu et al. 2021) or with all its weights. The result is an
ordinary sentence-transformers model.

Measured with MiniLM on ml-latest-small: about nine times the CPU of the head alone, and nothing
sure beyond it. The head is the default.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from llmrec_assets.core.co_consumption import CoConsumption
from llmrec_assets.core.encoder_head import Head, Pairs
from llmrec_assets.core.encoder_trainer import Best, train
from llmrec_assets.core.pair_loss import PairLoss

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_RATES = {"lora": 1e-3, "full": 5e-5}


class FineTuneConfig(BaseModel):
    """How the transformer is tuned."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["lora", "full"] = "lora"
    max_steps: int = Field(default=100, ge=1, description="Budget, in batches.")
    batch: int = Field(default=128, ge=4, description="Texts of a batch.")
    max_tokens: int = Field(default=32, ge=8, description="Of a text while tuning.")
    learning_rate: float | None = Field(
        default=None, gt=0, description="Where none is given: 1e-3 for lora, 5e-5 for full."
    )
    rank: int = Field(default=16, ge=1, description="Of the adapters.")
    check_every: int = Field(default=25, ge=1, description="Steps between validations.")
    patience: int = Field(default=2, ge=1, description="Validations without a better one.")
    seed: int = 0


class Course(BaseModel):
    """How a tuning went."""

    curve: list[tuple[int, float]]  # (steps, validation)
    best_step: int  # 0: nothing was better than the beginning


def add_head(model: "SentenceTransformer", head: Head) -> None:
    """Let the head map the vectors of the model, as a layer of it that is not trained."""
    from sentence_transformers.base.modules import Dense, Normalize

    size = len(head.mean)
    weight = torch.from_numpy(head.matrix.T.copy())
    shift = torch.from_numpy(-head.mean @ head.matrix)
    dense = Dense(size, size, activation_function=None, init_weight=weight, init_bias=shift)
    if not isinstance(model[-1], Normalize):
        model.append(Normalize())
    model.append(dense.requires_grad_(False))
    model.append(Normalize())


def fine_tune(
    model: "SentenceTransformer",
    texts: list[str],
    pairs: Pairs,
    config: FineTuneConfig,
    validate: Callable[["SentenceTransformer"], float],
    report: Callable[[str], None] | None = None,
) -> Course:
    """Tune the model in place until `validate` gets no better or the budget is spent.

    Args:
        model: its head, if it has one, in place.
        texts: of the items by code, [V+1].
        pairs: items consumed together.
        config: the schedule.
        validate: how good the model is; more is better.
        report: is told of every validation.

    Raises:
        ValueError: no items are in a pair.
    """
    from datasets import Dataset

    graph, rng = CoConsumption.of(pairs, len(texts)), np.random.default_rng(config.seed)
    size = min(config.batch, len(graph.items))
    if size == 0:
        raise ValueError("no two items were consumed together")
    codes = np.concatenate([graph.batch(size, rng) for _ in range(config.max_steps)])
    dataset = Dataset.from_dict({"text": [texts[code] for code in codes], "label": codes.tolist()})
    longest = model.max_seq_length
    model.max_seq_length = min(config.max_tokens, longest or config.max_tokens)
    if config.kind == "lora":
        _add_adapters(model, config.rank)
    best = Best(model, validate, config.check_every, config.patience, report)
    best.check(0)
    rate = config.learning_rate or _RATES[config.kind]
    loss = PairLoss(model, graph)
    train(model, dataset, loss, best, batch=size, learning_rate=rate, seed=config.seed)
    best.restore()
    if config.kind == "lora":
        model[0].model = model[0].model.merge_and_unload()  # pyright: ignore
    model.max_seq_length = longest
    model.eval().requires_grad_(False)
    return Course(curve=best.curve, best_step=best.step)


def _add_adapters(model: "SentenceTransformer", rank: int) -> None:
    from peft import LoraConfig, get_peft_model

    adapters = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    model[0].model = get_peft_model(model[0].model, adapters)  # pyright: ignore
