"""The ways an encoder is tuned: a linear head, or the transformer itself beneath such a head.

Imports torch: assets import this module in their bodies only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from llmrec_assets.assets import text_steps
from llmrec_assets.assets.encoder_material import Material, item_matrix
from llmrec_assets.core.encoder_gain import few_histories, sampled, text_scorer
from llmrec_assets.core.encoder_head import Head
from llmrec_assets.core.fine_tuning import Course, FineTuneConfig, add_head, fine_tune
from llmrec_assets.core.head_tuning import HeadConfig, Tuned, tune_head
from llmrec_assets.core.ranking import evaluate
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.encoder import TextEncoder
from llmrec_assets.resources.warehouse import Warehouse

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Report = Callable[[str], None]
_HEAD = "head.safetensors"
_CHECKED_ITEMS = 2000  # whose texts a validation encodes


class Tuning(Protocol):
    """A way of tuning; what it learnt lies as files in a folder."""

    @property
    def kind(self) -> str:
        """As in the name of the tuned encoder."""
        ...

    @property
    def seed(self) -> int:
        """Of the tuning and of the samples that judge it."""
        ...

    @property
    def least_pairs(self) -> int:
        """Without which it cannot begin."""
        ...

    def settings(self) -> dict[str, object]:
        """All that its outcome depends on besides the material."""
        ...

    def train(self, material: Material, folder: Path, report: Report) -> Course:
        """Tune, and write what was learnt into the folder."""
        ...

    def apply(
        self, material: Material, version: str, folder: Path, report: Report
    ) -> tuple[np.ndarray, str | None]:
        """The items' tuned vectors, float32 [V+1, D], and the file of the arrays with a head."""
        ...


@dataclass(frozen=True)
class HeadTuning:
    """A linear map of the frozen vectors."""

    config: HeadConfig
    arrays: Arrays
    kind: str = "head"

    @property
    def seed(self) -> int:
        """Of the config."""
        return self.config.seed

    @property
    def least_pairs(self) -> int:
        """A batch."""
        return self.config.batch

    def settings(self) -> dict[str, object]:
        """The config."""
        return self.config.model_dump()

    def train(self, material: Material, folder: Path, report: Report) -> Course:
        """Writes the head."""
        from safetensors.numpy import save_file

        tuned = tune(material, self.config, report)
        save_file({"mean": tuned.head.mean, "matrix": tuned.head.matrix}, folder / _HEAD)
        return Course(curve=tuned.curve, best_step=tuned.best_step)

    def apply(
        self, material: Material, version: str, folder: Path, report: Report
    ) -> tuple[np.ndarray, str | None]:
        """Nothing is encoded: the head maps the vectors that are there."""
        from safetensors.numpy import load_file

        head = Head(**load_file(folder / _HEAD))
        file = self.arrays.write(f"heads/{version}.npy", head.array)
        return head.apply(material.vectors), file


@dataclass(frozen=True)
class FineTuning:
    """The transformer beneath a head that was tuned first."""

    config: FineTuneConfig
    head: HeadConfig
    encoder: TextEncoder
    load: "Callable[[], SentenceTransformer]"
    warehouse: Warehouse
    arrays: Arrays

    @property
    def kind(self) -> str:
        """lora or full."""
        return self.config.kind

    @property
    def seed(self) -> int:
        """Of the config."""
        return self.config.seed

    @property
    def least_pairs(self) -> int:
        """A batch of the head."""
        return self.head.batch

    def settings(self) -> dict[str, object]:
        """Both configs."""
        head = {f"head_{name}": value for name, value in self.head.model_dump().items()}
        return self.config.model_dump() | head

    def train(self, material: Material, folder: Path, report: Report) -> Course:
        """Writes a sentence-transformers folder."""
        model, texts = self.load(), ["", *(text or "" for text in material.histories.texts)]
        add_head(model, tune(material, self.head, report).head)
        validate = _by_text_alone(material, texts, self.config.seed)
        course = fine_tune(model, texts, material.pairs, self.config, validate, report)
        model.save(str(folder), create_model_card=False)
        return course

    def apply(
        self, material: Material, version: str, folder: Path, report: Report
    ) -> tuple[np.ndarray, str | None]:
        """Encodes the items' texts, which stay encoded under the tuned encoder's name."""
        store = self.warehouse, self.arrays
        text_steps.encode_new(*store, version, lambda: self.encoder.tuned(folder), report, True)
        return item_matrix(*store, material.histories, version), None


def tune(material: Material, config: HeadConfig, report: Report) -> Tuned:
    """Tune a head until the past's own next items are found no better by text alone."""
    sequences, past = material.histories.sequences, material.past
    targets = sampled(past.validation, material.catalogue.n_items, config.seed)

    def validate(vectors: np.ndarray) -> float:
        scorer = text_scorer(material.catalogue, sequences, past.train_end, vectors)
        return evaluate(scorer, sequences, targets).summary()["masked_ndcg_at_10"]

    return tune_head(material.vectors, material.pairs, config, validate, report)


def _by_text_alone(
    material: Material, texts: list[str], seed: int
) -> "Callable[[SentenceTransformer], float]":
    """How well a model's vectors find the past's own next items among those of few users."""
    sequences, past = material.histories.sequences, material.past
    catalogue, targets = few_histories(
        material.catalogue, sequences, past.validation, _CHECKED_ITEMS, seed
    )
    items = np.flatnonzero(catalogue.text_rows >= 0)

    def validate(model: "SentenceTransformer") -> float:
        vectors = np.zeros_like(material.vectors)
        vectors[items] = model.encode([texts[item] for item in items], show_progress_bar=False)
        scorer = text_scorer(catalogue, sequences, past.train_end, vectors)
        return evaluate(scorer, sequences, targets).summary()["masked_ndcg_at_10"]

    return validate
