"""The choices a model is made and trained by."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Baseline = Literal[
    "popularity", "recent_popularity", "own_history", "decayed_markov", "item_neighbours",
    "naive_bayes", "ease",
]  # fmt: skip


class ModelConfig(BaseModel):
    """A network, how its inputs are fused, and how it is trained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: Literal["rnn", "lstm", "gru", "transformer"] = "gru"
    fusion: Literal["concat", "mean", "weighted", "gate"] = "mean"
    fusion_weights: dict[Literal["item", "text", "behavior", "numeric"], float] = Field(
        default={"item": 1.0, "text": 1.0, "behavior": 0.5, "numeric": 0.5},
        description="Shares of the branches under `weighted`; a branch not named has none.",
    )
    objective: Literal["softmax", "sigmoid", "sampled_softmax"] = "softmax"
    width: int = Field(default=64, ge=1, description="d, numbers in every hidden vector.")
    text_width: int = Field(
        default=128, ge=1, description="Principal components kept of a text embedding."
    )
    layers: int = Field(default=1, ge=1)
    heads: int = Field(default=2, ge=1, description="Attention heads; they divide `width`.")
    dropout: float = Field(default=0.3, ge=0, lt=1)
    max_length: int = Field(default=50, ge=1, description="Newest events of a user that are read.")
    batch_events: int = Field(default=1024, ge=1, description="Events a training step, about.")
    learning_rate: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    max_epochs: int = Field(default=20, ge=1)
    patience: int = Field(default=6, ge=1, description="Epochs without a better validation.")
    validation_users: int = Field(
        default=5000, ge=1, description="Most users that the validation after an epoch ranks for."
    )
    hide_seen: bool = Field(
        default=True,
        description="Items of the history are no candidates in validation; off where people buy "
        "the same again.",
    )
    negatives: int = Field(default=1024, ge=1, description="Of a step of the sampled softmax.")
    seed: int = 0
    threads: int = Field(default=1, ge=1, description="A rerun is equal for equal threads.")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "ModelConfig":
        if self.network == "transformer" and self.width % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide width ({self.width})")
        return self
