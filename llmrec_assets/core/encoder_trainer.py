"""sentence-transformers' trainer, over batches made beforehand and with the best weights kept."""

import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer


class Best:
    """The weights of the best validation, and the course to it."""

    def __init__(
        self,
        model: "SentenceTransformer",
        validate: Callable[["SentenceTransformer"], float],
        every: int,
        patience: int,
        report: Callable[[str], None] | None,
    ) -> None:
        """Validates every so many steps, and so often without a better one."""
        self.model, self.validate, self.report = model, validate, report
        self.every, self.patience = every, patience
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
        return step - self.step < self.patience * self.every

    @torch.no_grad()
    def restore(self) -> None:
        """Put the best weights back."""
        for name, parameter in self.trained.items():
            parameter.copy_(self.weights[name])


def train(
    model: "SentenceTransformer",
    dataset: "Dataset",
    loss: nn.Module,
    best: Best,
    *,
    batch: int,
    learning_rate: float,
    seed: int,
) -> None:
    """One pass over the batches, which lie in the dataset one after the other."""
    from sentence_transformers import (
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from torch.utils.data import BatchSampler, SequentialSampler
    from transformers import PrinterCallback, TrainerCallback

    steps = len(dataset) // batch

    class Stop(TrainerCallback):
        """Validates, and stops where it gets no better."""

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
            """After every step."""
            if state.global_step % best.every == 0 or state.global_step == steps:
                control.should_training_stop |= not best.check(state.global_step)

    class Trainer(SentenceTransformerTrainer):
        """Without the texts of items in a model card."""

        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            """None."""

    def in_order(dataset: Any, batch_size: int, drop_last: bool, **_: Any) -> BatchSampler:  # noqa: ANN401
        return BatchSampler(SequentialSampler(dataset), batch_size, drop_last)

    with tempfile.TemporaryDirectory() as unused, _seeds_kept():
        arguments = SentenceTransformerTrainingArguments(
            output_dir=unused,
            max_steps=steps,
            per_device_train_batch_size=batch,
            batch_sampler=in_order,  # pyright: ignore
            prompts=model.prompts.get(model.default_prompt_name or ""),
            learning_rate=learning_rate,
            warmup_steps=steps // 10,
            seed=seed,
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


@contextmanager
def _seeds_kept() -> Iterator[None]:
    """The trainer seeds Python's and NumPy's random numbers for the whole process."""
    python, arrays = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)
