"""Lists of several requests at once: scored together, each by its own rules.

A matrix product of several histories costs little more than that of one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import torch

from llmrec_assets.core.lists import Hidden, Lists, ListSettings, leave_out, lists_of
from llmrec_assets.core.new_events import NewEvent
from llmrec_assets.core.online import History, assemble, score
from llmrec_assets.core.ranking import NEVER
from llmrec_assets.core.reranking import Reranking, candidates, depth_of
from llmrec_assets.serving.model import EVERYTHING, Filters, Model, Slots
from llmrec_assets.serving.variety import varied

PLAIN = Reranking()  # the model's order


@dataclass(frozen=True, eq=False)
class Job:
    """One list to make: what a request asks of a package, in its codes."""

    user: int | None
    new: Sequence[NewEvent]  # newer than the package
    settings: ListSettings
    hidden: np.ndarray  # int64 [h], codes
    list_id: str
    filters: Filters = EVERYTHING
    reranking: Reranking = PLAIN

    @property
    def history(self) -> History:
        """What is ranked by."""
        return History(self.user, self.new)


def rank(model: Model, jobs: Sequence[Job]) -> list[Slots]:
    """The list of each job."""
    snapshot = model.snapshot
    sequences = assemble(snapshot, [job.history for job in jobs])
    logits = score(snapshot, sequences)
    alike: dict[tuple[ListSettings, bool], list[int]] = {}
    for place, job in enumerate(jobs):
        key = (job.settings, job.reranking.changes_nothing)
        alike.setdefault(key, []).append(place)
    found: dict[int, Slots] = {}
    for (settings, plain), places in alike.items():
        group = [jobs[place] for place in places]
        rows = logits if len(places) == len(jobs) else logits[places]
        hidden, allowed = _hidden(len(jobs), places, group), _allowed(model, group)
        if not plain:
            chances = rows.softmax(1).numpy()
            if allowed is not None:
                rows[~allowed] = NEVER
            leave_out(rows, sequences, np.array(places), settings, hidden)
            lists = map(_varied, repeat(model), group, rows.numpy(), chances)
            found |= dict(zip(places, lists, strict=True))
            continue
        ids = [job.list_id for job in group]
        varied_by = snapshot.traits
        made = lists_of(
            rows, sequences, np.array(places), ids, settings, hidden, allowed, traits=varied_by
        )
        found |= _split(made, places, model.info.source)
    return [found[place] for place in range(len(jobs))]


def _varied(model: Model, job: Job, scores: np.ndarray, chances: np.ndarray) -> Slots:
    """The job's list, without a draw, by scores (-inf = not shown) and probabilities, [V+1]."""
    k = job.settings.top_k
    codes, kept = candidates(scores, depth_of(k), job.reranking)
    source = np.full(len(codes), model.info.source, dtype=object)
    known = chances[codes].astype(np.float64)
    pool = Slots(codes, kept, known, np.ones(len(codes)), source)
    new = np.array([event.item for event in job.new], dtype=np.int64)
    history = np.concatenate([model.seen(job.user), new])
    return varied(model, pool, history, job.reranking, k)


def _hidden(n: int, places: list[int], group: list[Job]) -> Hidden:
    owners = np.repeat(np.array(places), [len(job.hidden) for job in group])
    return Hidden.of(n, owners, np.concatenate([job.hidden for job in group]))


def _allowed(model: Model, group: list[Job]) -> torch.Tensor | None:
    allowed = [model.allowed(job.filters) for job in group]
    if all(kept is None for kept in allowed):
        return None
    every = torch.ones(model.snapshot.n_items + 1, dtype=torch.bool)
    return torch.stack([every if kept is None else kept for kept in allowed])


def _split(lists: Lists, places: list[int], source: str) -> dict[int, Slots]:
    """The slots of each place, and who ranked each."""
    names = np.full(len(lists.codes), source, dtype=object)
    names[lists.repeated] = "fallback"
    names[lists.explored] = "exploration"
    whole = Slots(lists.codes, lists.scores, lists.probabilities, lists.propensities, names)
    return {place: whole.where(lists.users == place) for place in places}
