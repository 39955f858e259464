"""Several scorers judged on the same targets: scores, slices and how sure the differences are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd

from llmrec_assets.core import slices
from llmrec_assets.core.beyond_accuracy import list_measures
from llmrec_assets.core.blocks import rows_of
from llmrec_assets.core.counting import occurrences
from llmrec_assets.core.deciding import ALL, MASKED, UNSEEN, told
from llmrec_assets.core.deep_lists import DeepLists, DeepListsKept
from llmrec_assets.core.diversity_curve import COLUMNS as CURVE
from llmrec_assets.core.diversity_curve import diversity_curve
from llmrec_assets.core.intervals import RESAMPLES, mean_intervals
from llmrec_assets.core.metrics import ndcg, recall
from llmrec_assets.core.ranking import Evaluation, Scorer, evaluate
from llmrec_assets.core.sequences import Catalogue, Sequences
from llmrec_assets.core.splits import LEAST_UNSEEN, Split, seen_before

CUT = 10  # of what is told by slice and with an interval, and of the lists that are described
WHO = ["protocol", "scorer", "role"]
GAINS = {kind: [f"{kind}ndcg_at_{CUT}", f"{kind}recall_at_{CUT}"] for kind in (MASKED, ALL)}


class Data(Protocol):
    """What targets and items are told by."""

    @property
    def sequences(self) -> Sequences:
        """All events."""
        ...

    @property
    def catalogue(self) -> Catalogue:
        """All items."""
        ...

    @property
    def behaviors(self) -> Sequence[str]:
        """Names; code c is at c - 1."""
        ...


@dataclass(frozen=True)
class Judgement:
    """Five tables, each with the columns protocol, scorer and role first."""

    rows: pd.DataFrame  # metric, score, users
    slices: pd.DataFrame  # dimension, slice, position, the metrics of `GAINS`, users
    intervals: pd.DataFrame  # metric, difference (challenger less scorer), lower, upper, …, users
    # The same of NDCG@10 against the champion: slice, its score, difference, …, users.
    guarded: pd.DataFrame
    # What diversity would cost who would serve: weight, NDCG@10, …, users; may be empty.
    curve: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=[*WHO, *CURVE]))

    @classmethod
    def joined(cls, parts: Sequence["Judgement"], rows: Sequence[pd.DataFrame] = ()) -> "Judgement":
        """The parts one after the other, with further rows."""
        return cls(
            pd.concat([part.rows for part in parts] + list(rows), ignore_index=True),
            pd.concat([part.slices for part in parts], ignore_index=True),
            pd.concat([part.intervals for part in parts], ignore_index=True),
            pd.concat([part.guarded for part in parts], ignore_index=True),
            *[part.curve for part in parts if len(part.curve)][:1],
        )


def judge(
    protocol: str,
    scorers: Sequence[tuple[str, str, Scorer]],
    data: Data,
    split: Split,
    *,
    hide_seen: bool = True,
    unseen: bool = False,
    curve_users: int = 0,
    seed: int = 0,
) -> Judgement:
    """Judge every scorer (name, role, scorer) on the targets of `split.test`.

    Each is asked once for each user. Popularity is counted in the events before `train_end`. What
    diversity costs is told of the challenger, or else the best baseline, on at most `curve_users`
    users, drawn by `seed`.

    What is compared is what lists show: masked metrics with `hide_seen`, else those in which the
    items of the history are candidates too. Lists that do not show what a user has seen are no
    better for who foresees that users come back to an item. So with `unseen` as well, `unseen_*`
    metrics are told beside the others, over the users whose target is not in their history, and the
    guarded slices are of them. They are left out where such users are fewer than `LEAST_UNSEEN`.
    """
    sequences = data.sequences
    users = np.flatnonzero(split.test >= 0)
    counts = training_counts(sequences, data.catalogue.n_items, split.train_end)
    histories = history_popularity(sequences, split.test[users], users, counts)
    cuts = slices.dimensions(sequences, split.test[users], users, counts, data.behaviors)
    new = ~seen_before(sequences, split.test)[users] & (hide_seen and unseen)
    enough, kind = new.sum() >= LEAST_UNSEEN, told(hide_seen)
    gains, rows, sliced, deep = [], [], [], []
    serving = "challenger" if any(role == "challenger" for _, role, _ in scorers) else "baseline"
    for name, role, scorer in scorers:
        kept = DeepListsKept(split.test, curve_users if role == serving else 0, seed, hide_seen)
        block = rows_of(data.catalogue.n_items)
        evaluation = evaluate(scorer, sequences, split.test, block, kept, hide_seen)
        lists = evaluation.shown[:, :CUT]
        measured = evaluation.summary() | list_measures(lists, histories, counts, data.catalogue)
        rows += [(protocol, name, role, *pair, len(users)) for pair in measured.items()]
        found = _gains(evaluation)
        gains.append(found[GAINS[kind]])
        if (lists := kept.lists()) is not None:
            deep.append((gains[-1].iloc[:, 0].mean(), (protocol, name, role), lists))
        if enough:
            means = _of_unseen(gains[-1], new).mean()
            rows += [(protocol, name, role, *pair, int(new.sum())) for pair in means.items()]
        sliced.append(_labelled(slices.slice_means(cuts, found), protocol, name, role))
    columns = [*WHO, "metric", "score", "users"]
    named = [(name, role) for name, role, _ in scorers]
    intervals = [_intervals(protocol, named, gains)]
    guarded = slices.guarded(cuts)
    if enough:
        intervals.append(_intervals(protocol, named, [_of_unseen(own, new) for own in gains]))
        guarded = {name: both for name, mask in guarded.items() if (both := mask & new).any()}
    return Judgement(
        pd.DataFrame(rows, columns=columns).astype({"score": float, "users": int}),
        pd.concat(sliced, ignore_index=True),
        pd.concat(intervals, ignore_index=True),
        _guarded(protocol, named, gains, guarded),
        *_curves(deep, data.catalogue, counts, kind),
    )


def _curves(
    deep: Sequence[tuple[float, tuple[str, str, str], DeepLists]],
    catalogue: Catalogue,
    counts: np.ndarray,
    kind: str,
) -> list[pd.DataFrame]:
    """The curve of the best of (quality, who, its lists); none where items have no texts."""
    if not deep or not len(catalogue.embeddings):
        return []
    _, who, lists = max(deep, key=lambda one: one[0])
    curve = diversity_curve(lists, catalogue, counts)
    return [_labelled(curve.rename(columns=lambda name: name.replace(MASKED, kind)), *who)]


def _of_unseen(gains: pd.DataFrame, unseen: np.ndarray) -> pd.DataFrame:
    """The masked gains of some users, under the name of their metrics."""
    return gains[unseen].rename(columns=lambda name: name.replace(MASKED, UNSEEN))


def training_counts(sequences: Sequences, n_items: int, train_end: np.ndarray) -> np.ndarray:
    """Events of each item before `train_end` (int64 [U]), int64 [V+1]."""
    return occurrences(sequences, sequences.items, train_end, n_items + 1)


def history_popularity(
    sequences: Sequences, targets: np.ndarray, users: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Mean training events of the items of each history before its target, float64 [n]."""
    running = np.concatenate([[0], np.cumsum(counts[sequences.items])])
    starts = sequences.starts[users]
    return (running[targets] - running[starts]) / np.maximum(targets - starts, 1)


def _gains(evaluation: Evaluation) -> pd.DataFrame:
    """What each user adds to the metrics that decide, in both kinds: n rows."""
    ranks = {MASKED: evaluation.masked_ranks, ALL: evaluation.ranks}
    gained = {kind: (ndcg(own, CUT), recall(own, CUT)) for kind, own in ranks.items()}
    return pd.DataFrame(
        {
            name: gain
            for kind, names in GAINS.items()
            for name, gain in zip(names, gained[kind], strict=True)
        }
    )


def _intervals(
    protocol: str, named: Sequence[tuple[str, str]], gains: Sequence[pd.DataFrame]
) -> pd.DataFrame:
    """Intervals of the challenger's gains less every other scorer's; none without a challenger."""
    own = next((g for (_, role), g in zip(named, gains, strict=True) if role == "challenger"), None)
    others = [(who, g) for who, g in zip(named, gains, strict=True) if g is not own]
    rows = []
    if own is not None and not own.empty and others:
        differences = np.hstack([own - other for _, other in others])
        labels = [(protocol, *who, metric) for who, other in others for metric in other.columns]
        found = zip(labels, mean_intervals(differences), strict=True)
        rows = [(*label, *interval, RESAMPLES, len(own)) for label, interval in found]
    columns = ["difference", "lower", "upper", "resamples", "users"]
    kinds = dict.fromkeys(columns[:3], float) | dict.fromkeys(columns[3:], int)
    return pd.DataFrame(rows, columns=[*WHO, "metric", *columns]).astype(kinds)


def _guarded(
    protocol: str,
    named: Sequence[tuple[str, str]],
    gains: Sequence[pd.DataFrame],
    masks: dict[str, np.ndarray],
) -> pd.DataFrame:
    """Intervals of the challenger's gains less the champion's in each of the slices."""
    of_role = {role: (name, gain) for (name, role), gain in zip(named, gains, strict=True)}
    rows = []
    if "challenger" in of_role and "champion" in of_role:
        (_, own), (champion, other) = of_role["challenger"], of_role["champion"]
        own, other = own.iloc[:, 0].to_numpy(), other.iloc[:, 0].to_numpy()
        for name, mask in masks.items():
            interval = mean_intervals((own - other)[mask, None])[0]
            row = (protocol, champion, "champion", name, other[mask].mean(), *interval)
            rows.append((*row, RESAMPLES, mask.sum()))
    numbers = ["score", "difference", "lower", "upper"]
    counts = ["resamples", "users"]
    kinds = dict.fromkeys(numbers, float) | dict.fromkeys(counts, int)
    return pd.DataFrame(rows, columns=[*WHO, "slice", *numbers, *counts]).astype(kinds)


def _labelled(frame: pd.DataFrame, protocol: str, name: str, role: str) -> pd.DataFrame:
    own = dict(zip(WHO, (protocol, name, role), strict=True))
    return frame.assign(**own)[[*WHO, *frame.columns]]
