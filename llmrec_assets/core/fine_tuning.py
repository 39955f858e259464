"""Fine-tuning a transformer that encodes texts by what people consume together.

Where the linear head of `head_tuning` ends, this begins: the head becomes a layer of the model, and
the transformer beneath it is trained with sentence-transformers' trainer, either through low-rank
adapters on all its linear layers (LoRA, Hu et al. 2021) or with all its weights. The result is an
ordinary sentence-transformers model.
"""

import random
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from llmrec_assets.core.co_consumption import CoConsumption
from llmrec_assets.core.encoder_head import Head, Pairs

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_SCALE = 20.0  # of cosines, as sentence-transformers has it
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


class PairLoss(nn.Module):
    """Finding an item's neighbours among the other items of the batch.

    Cross-entropy (InfoNCE, van den Oord 2018) to the shares of its neighbours, so that none of them
    is a negative, less what an item's popularity alone would make of it (logQ, Yi et al. 2019).
    """

    def __init__(self, model: "SentenceTransformer", graph: CoConsumption) -> None:
        super().__init__()
        self.model, self.graph = model, graph
        self.log_shares = torch.from_numpy(graph.log_shares)

    def forward(self, features: list[dict[str, Any]], labels: torch.Tensor) -> torch.Tensor:
        """The mean over the items; `labels` int64 [B] are their codes."""
        vectors = F.normalize(self.model(features[0])["sentence_embedding"], dim=-1)
        logits = _SCALE * vectors @ vectors.T - self.log_shares[labels]
        itself = torch.eye(len(labels), dtype=torch.bool)
        found = logits.masked_fill(itself, float("-inf")).log_softmax(1)
        wanted = torch.from_numpy(self.graph.among(labels.numpy()))
        losses = -(wanted * found.masked_fill(itself, 0)).sum(1)
        return losses.sum() / wanted.any(1).sum().clamp(min=1)


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
        ValueError: fewer items than a batch are in a pair.
    """
    from datasets import Dataset

    graph, rng = CoConsumption.of(pairs, len(texts)), np.random.default_rng(config.seed)
    codes = np.concatenate([graph.batch(config.batch, rng) for _ in range(config.max_steps)])
    dataset = Dataset.from_dict({"text": [texts[code] for code in codes], "label": codes.tolist()})
    longest, model.max_seq_length = model.max_seq_length, config.max_tokens
    if config.kind == "lora":
        _add_adapters(model, config.rank)
    kept = _Best(model, validate, config, report)
    kept.check(0)
    _train(model, dataset, PairLoss(model, graph), config, kept)
    kept.restore()
    if config.kind == "lora":
        model[0].model = model[0].model.merge_and_unload()  # pyright: ignore
    model.max_seq_length = longest
    model.eval().requires_grad_(False)
    return Course(curve=kept.curve, best_step=kept.step)


def _add_adapters(model: "SentenceTransformer", rank: int) -> None:
    from peft import LoraConfig, get_peft_model

    adapters = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    model[0].model = get_peft_model(model[0].model, adapters)  # pyright: ignore


class _Best:
    """The weights of the best validation."""

    def __init__(
        self,
        model: "SentenceTransformer",
        validate: Callable[["SentenceTransformer"], float],
        config: FineTuneConfig,
        report: Callable[[str], None] | None,
    ) -> None:
        self.model, self.validate, self.config, self.report = model, validate, config, report
        self.trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.curve: list[tuple[int, float]] = []
        self.step, self.weights = 0, {}

    def check(self, step: int) -> bool:
        """Validate; whether to go on."""
        training = self.model.training
        self.curve.append((step, self.validate(self.model.eval())))
        self.model.train(training)
        if self.report:
            self.report(f"step {step}: validation {self.curve[-1][1]:.4f}")
        if not self.weights or self.curve[-1][1] > dict(self.curve)[self.step]:
            self.step = step
            self.weights = {name: p.detach().clone() for name, p in self.trained.items()}
        return step - self.step < self.config.patience * self.config.check_every

    @torch.no_grad()
    def restore(self) -> None:
        """Put the best weights back."""
        for name, parameter in self.trained.items():
            parameter.copy_(self.weights[name])


def _train(
    model: "SentenceTransformer",
    dataset: Any,  # noqa: ANN401 - datasets is imported where it is used
    loss: nn.Module,
    config: FineTuneConfig,
    kept: _Best,
) -> None:
    """One pass over the batches, which lie in the dataset one after the other."""
    from sentence_transformers import (
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from torch.utils.data import BatchSampler, SequentialSampler
    from transformers import PrinterCallback, TrainerCallback

    class Stop(TrainerCallback):
        """Validates, and stops where it gets no better."""

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
            """After every step."""
            step = state.global_step
            if step % config.check_every == 0 or step == config.max_steps:
                control.should_training_stop |= not kept.check(step)

    class Trainer(SentenceTransformerTrainer):
        """Without the texts of items in a model card."""

        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            """None."""

    def in_order(dataset: Any, batch_size: int, drop_last: bool, **_: Any) -> BatchSampler:  # noqa: ANN401
        return BatchSampler(SequentialSampler(dataset), batch_size, drop_last)

    states = random.getstate(), np.random.get_state()
    with tempfile.TemporaryDirectory() as unused:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=unused,
            max_steps=config.max_steps,
            per_device_train_batch_size=config.batch,
            batch_sampler=in_order,  # pyright: ignore
            learning_rate=config.learning_rate or _RATES[config.kind],
            warmup_steps=config.max_steps // 10,
            seed=config.seed,
            use_cpu=True,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = Trainer(
            model=model, args=arguments, train_dataset=dataset, loss=loss, callbacks=[Stop()]
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    random.setstate(states[0])  # the trainer seeds these for the whole process
    np.random.set_state(states[1])
