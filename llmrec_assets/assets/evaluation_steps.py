"""How a challenger is judged beside champion and baselines, and audited for leaks.

Imports torch: assets import this module in their bodies only.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np

from llmrec_assets.assets.model_inputs import read_inputs
from llmrec_assets.assets.off_policy_steps import PastFit
from llmrec_assets.assets.scoring_steps import baselines, incomparable, network_of, scorer_of
from llmrec_assets.core.config import Baseline, ModelConfig
from llmrec_assets.core.judging import Judgement, judge
from llmrec_assets.core.leaks import leaks_of_model, leaks_of_split
from llmrec_assets.core.networks.scoring import NetworkScorer
from llmrec_assets.core.ranking import Scorer
from llmrec_assets.core.recommender import Recommender, fit_weights, make_experts
from llmrec_assets.core.reports import threshold_rows
from llmrec_assets.core.sequences import Sequences
from llmrec_assets.core.splits import (
    Split,
    global_time_split,
    hold_out_last,
    leave_one_out,
)
from llmrec_assets.core.trainer import NothingToLearn
from llmrec_assets.core.training import fit
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.registry import Registry
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s2_statistics as statistics_sql
from llmrec_assets.sql import s5_model as model_sql
from llmrec_assets.sql.training_data import SPLITS, TrainingData

if TYPE_CHECKING:
    import torch

Named = tuple[str, str, Scorer]


@dataclass(frozen=True)
class OnOwnScale:
    """A scorer that reads the same events with its own scaling of the numeric features."""

    scorer: Scorer
    own: Sequences

    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> "torch.Tensor":
        """[B, V+1]; positions mean the same events in both."""
        return self.scorer.logits(self.own, ends, users)


def evaluate_versions(
    warehouse: Warehouse,
    arrays: Arrays,
    registry: Registry,
    training: dict[str, Any],
    champion: str | None,
    global_split: bool,
    thresholds: list[float],
    compared: Sequence[Baseline],
    hide_seen: bool,
    curve_users: int,
) -> tuple[Judgement, list[str], PastFit | None]:
    """Challenger, champion and baselines judged under each protocol, and what was left out.

    Also the fit of the global time split, where one was made: it alone knows no later event.
    """
    config = json.loads(training["config"])
    scaling = config.pop("scaling")
    version, notes = str(training["model_version"]), []
    package = registry.load(version) if training["trained"] else None
    encoder = package.info.encoder if package else None
    inputs = read_inputs(warehouse, arrays, scaling, encoder=encoder)
    data = inputs.data["evaluation"]
    split = leave_one_out(data.sequences)
    scorers = named_baselines(compared, data, split)
    if package is not None:
        if unread := incomparable(package, inputs):
            raise dg.Failure(f"{version} cannot be judged: {unread}; launch the job retrain")
        challenger = scorer_of(package, "evaluation", data, split.train_end)
        scorers.append((version, "challenger", challenger))
        scorers += parts(version, challenger)
    if champion is not None and champion != version:
        package = registry.load(champion)
        info = package.info
        own = read_inputs(
            warehouse, arrays, info.scaling, ("evaluation",), info.statistics_version, info.encoder
        )
        reason = incomparable(package, own)
        if reason:
            notes.append(f"champion {champion} is not compared: {reason}")
        else:
            older = scorer_of(package, "evaluation", own.data["evaluation"], split.train_end)
            theirs = OnOwnScale(older, own.data["evaluation"].sequences)
            scorers.append((champion, "champion", theirs))
    judged = judge(
        "leave_one_out",
        scorers,
        data,
        split,
        hide_seen=hide_seen,
        unseen=hide_seen,
        curve_users=curve_users,
        seed=config["seed"],
    )
    found, further = [judged], []
    if config["objective"] == "sigmoid":
        further = [
            threshold_rows(name, scorer, data.sequences, split.test, thresholds)
            for name, role, scorer in scorers
            if isinstance(scorer, NetworkScorer)
        ]
    past = None
    if data.sequences.relative:
        notes.append("no global time split: the events have relative times, which differ by user")
    elif global_split:
        older_events = read_inputs(warehouse, arrays, scaling, ("global",), encoder=encoder).data[
            "global"
        ]
        scorers = named_baselines(compared, older_events, global_time_split(older_events.sequences))
        judged, past = _judge_globally(
            version, older_events, ModelConfig(**config), training, scorers, hide_seen
        )
        found.append(judged)
    return Judgement.joined(found, further), notes, past


def named_baselines(names: Sequence[Baseline], data: TrainingData, split: Split) -> list[Named]:
    """The baselines with their names and role."""
    fitted = baselines(names, data, split.train_end)
    return [(name, "baseline", scorer) for name, scorer in fitted.items()]


def parts(version: str, challenger: Recommender) -> list[Named]:
    """What the challenger is made of, to see what each part adds."""
    prior = Recommender(challenger.experts, challenger.powers, None)
    return [
        (f"{version}, network alone", "part", challenger.experts.prior["network"]),
        (f"{version}, not reranked", "part", prior),
    ]


def _judge_globally(
    version: str,
    data: TrainingData,
    config: ModelConfig,
    training: dict[str, Any],
    scorers: list[Named],
    hide_seen: bool,
) -> tuple[Judgement, PastFit | None]:
    """The judgement of a fit on all events before one time, for each user's next event after it.

    And the fit, None where there was nothing to learn.
    """
    split, fitted = global_time_split(data.sequences), None
    if training["trained"]:
        epochs = int(training["best_epoch"])
        try:
            # The weights are learnt within the past: from each user's last event before the cut.
            past = hold_out_last(data.sequences, split.train_end)
            spans = (data.sequences, data.catalogue)
            model = fit(*spans, config, past.train_end, epochs=epochs).model
            experts = make_experts(model, *spans, past.train_end)
            weights = fit_weights(experts, data.sequences, past.validation, config.seed)
            newest = make_experts(model, *spans, split.train_end)
            challenger = weights.recommender(newest)
            scorers.append((version, "challenger", challenger))
            fitted = PastFit(challenger, data, split.train_end)
        except NothingToLearn:
            pass  # nobody has two events before the cut: the baselines stand alone
    return judge("global_time", scorers, data, split, hide_seen=hide_seen), fitted


def audit_leaks(warehouse: Warehouse, arrays: Arrays, registry: Registry) -> dict[str, int]:
    """What the newest evaluation fit could see of its targets; all zero when nothing leaks."""
    with warehouse.connect() as connection:
        training = model_sql.newest_training(connection)
    package = registry.load(str(training["model_version"])) if training["trained"] else None
    inputs = read_inputs(
        warehouse,
        arrays,
        json.loads(str(training["config"]))["scaling"],
        encoder=package.info.encoder if package else None,
    )
    data = inputs.data["evaluation"]
    sequences, split = data.sequences, leave_one_out(data.sequences)
    leaks = leaks_of_split(sequences, split, data.splits == SPLITS.index("train"))
    with warehouse.connect() as connection:
        leaks["statistics_beyond_training"] = statistics_sql.statistics_beyond_training(
            connection, inputs.statistics_version
        )
    # A network can only be held against the events that it was trained on.
    if package is not None and training["data_fingerprint"] == inputs.final.fingerprint:
        network = network_of(package, "evaluation", data)
        leaks |= leaks_of_model(network, sequences, data.catalogue, split.train_end)
    return leaks
