"""Stage 5: the trained model. How good it is: `s5_evaluation`; who serves: `s5_champion`."""

from typing import TYPE_CHECKING, Literal

import dagster as dg
from pydantic import Field

from llmrec_assets.assets import s3_embeddings, s4_features
from llmrec_assets.assets.table_metadata import run_metadata, static_metadata
from llmrec_assets.core.config import ModelConfig
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.engine import Engine
from llmrec_assets.resources.registry import Registry
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.settings import choice, setting
from llmrec_assets.sql import s5_model as model_sql
from llmrec_assets.sql.s5_model import TEMPORAL_MODEL

if TYPE_CHECKING:
    from llmrec_assets.core.training import EpochReport

DEFAULTS = ModelConfig()


class TrainingConfig(dg.Config):
    """The model and how it is trained. The defaults work without tuning."""

    network: Literal["rnn", "lstm", "gru", "transformer"] = Field(
        default=choice("NETWORK", DEFAULTS.network, ("rnn", "lstm", "gru", "transformer")),
        description="What reads the fused sequence.",
    )
    fusion: Literal["concat", "mean", "weighted", "gate"] = Field(
        default=choice("FUSION", DEFAULTS.fusion, ("concat", "mean", "weighted", "gate")),
        description="How item, text, behaviour and numbers of a step become one vector.",
    )
    objective: Literal["softmax", "sigmoid", "sampled_softmax"] = Field(
        default=choice("OBJECTIVE", DEFAULTS.objective, ("softmax", "sigmoid", "sampled_softmax")),
        description="Softmax over all items, a sigmoid for each, or a softmax over a sample.",
    )
    width: int = Field(default=setting("WIDTH", DEFAULTS.width, minimum=1), ge=1)
    text_width: int = Field(
        default=DEFAULTS.text_width, description="Principal components of a text.", ge=1
    )
    batch_events: int = Field(
        default=DEFAULTS.batch_events, description="Events a training step, about.", ge=1
    )
    layers: int = Field(default=DEFAULTS.layers, ge=1)
    dropout: float = Field(default=DEFAULTS.dropout, ge=0, lt=1)
    max_length: int = Field(
        default=DEFAULTS.max_length, description="Newest events of a user that are read.", ge=1
    )
    learning_rate: float = Field(default=DEFAULTS.learning_rate, gt=0)
    max_epochs: int = Field(default=setting("MAX_EPOCHS", DEFAULTS.max_epochs, minimum=1), ge=1)
    patience: int = Field(
        default=DEFAULTS.patience, description="Epochs without a better validation NDCG.", ge=1
    )
    threads: int = Field(
        default=setting("THREADS", DEFAULTS.threads, minimum=1),
        description="Of the training; a rerun is equal for equal threads.",
        ge=1,
    )
    hide_seen: bool = Field(
        default=setting("EXCLUDE_SEEN", DEFAULTS.hide_seen),
        description="Lists leave out the items of the history, and so does validation.",
    )
    scaling: Literal["z-score", "min-max"] = Field(
        default="z-score", description="How rating and value are scaled."
    )
    seed: int = Field(default=setting("SEED", 0, minimum=0), description="The one seed of a run.")
    start: Literal["fresh", "champion"] = Field(
        default="fresh", description="From nothing, or for fewer epochs from what serves."
    )

    def model(self) -> ModelConfig:
        """The same choices as the core takes them."""
        return ModelConfig(**self.model_dump(exclude={"scaling", "start"}))


@dg.asset(
    deps=[s4_features.fused_features, s3_embeddings.item_encoder],
    kinds={"torch", "mlflow"},
    owners=["team:ml"],
    pool="training",
    metadata=static_metadata(TEMPORAL_MODEL),
)
def temporal_model(
    context: dg.AssetExecutionContext,
    config: TrainingConfig,
    warehouse: Warehouse,
    arrays: Arrays,
    registry: Registry,
    engine: Engine,
) -> dg.MaterializeResult:
    """One row per model version: next item over the fused sequence.

    A first fit never sees the last two events of a user: it chooses the epoch and is judged. The
    same setting is then fitted on all events, which is what serves if the model wins.
    """
    from llmrec_assets.assets import model_inputs, training_steps, warm_steps

    def report(epoch: "EpochReport") -> None:
        ndcg = f", validation NDCG@10 {epoch.validation_ndcg:.4f}" if epoch.validation_ndcg else ""
        context.log.info(
            f"epoch {epoch.epoch}: loss {epoch.train_loss:.4f}{ndcg}, {epoch.seconds:.1f} s"
        )

    champion = warm_steps.champion(registry, config.start, context.log.info)
    own = champion.info.encoder if champion else None
    inputs = model_inputs.read_inputs(warehouse, arrays, config.scaling, encoder=own)
    megabytes = training_steps.memory_needed(inputs, config.model()) / 1e6
    context.log.info(f"training will take about {megabytes:.0f} MB more than it has now")
    trained = training_steps.train(
        inputs, config.model(), report, champion, context.log.info, engine
    )
    links = training_steps.register(trained, registry, context.run.run_id)
    with warehouse.connect() as connection:
        model_sql.record_training(connection, trained.row)
        metadata = run_metadata(connection, TEMPORAL_MODEL)
    if trained.package is None:
        context.log.warning(f"no model was trained: {trained.reason}")
    return dg.MaterializeResult(
        metadata={
            **metadata,
            **links,
            **trained.metadata(),
            "items_through": inputs.final.items_through,
        },
        data_version=dg.DataVersion(trained.version),
    )


@dg.asset_check(asset=temporal_model, blocking=True)
def weights_are_finite(warehouse: Warehouse, registry: Registry) -> dg.AssetCheckResult:
    """Every number of the newest model is finite."""
    with warehouse.connect() as connection:
        row = model_sql.newest_training(connection)
    if not row["trained"]:
        return dg.AssetCheckResult(passed=True, description="there was nothing to learn from")
    package = registry.load(str(row["model_version"]))
    broken = [
        name
        for fit in (package.evaluation, package.final)
        for name, tensor in fit.items()
        if not tensor.isfinite().all()
    ]
    return dg.AssetCheckResult(passed=not broken, metadata={"not_finite": broken})
