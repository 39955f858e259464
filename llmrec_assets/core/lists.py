"""Every user's list: the best items, perhaps some drawn at random, and never an empty one.

Items that a user wants no more of are never shown to that user, unless they are all there is.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from llmrec_assets.core import exploration
from llmrec_assets.core.diversity import rerank
from llmrec_assets.core.item_traits import ItemTraits
from llmrec_assets.core.parallel import MapMade, here
from llmrec_assets.core.ranking import NEVER, Scorer, best
from llmrec_assets.core.reranking import Reranking, candidates, depth_of
from llmrec_assets.core.sequences import Sequences, flat_rows


@dataclass(frozen=True)
class ListSettings:
    """What every list has in common."""

    top_k: int
    exclude_seen: bool
    exploration: float  # share of a list's slots
    seed: int
    temperature: float = 1.0  # of the draw: above 1 it is more even
    diversity: float = 0.0  # as of `Reranking`; slots drawn at random come after it


@dataclass(frozen=True)
class Hidden:
    """Items that are not shown to a user (CSR)."""

    offsets: np.ndarray  # int64 [U+1], user u does without items offsets[u]..offsets[u+1]
    items: np.ndarray  # int64 [N], codes in order

    @classmethod
    def of(cls, n_users: int, users: np.ndarray, items: np.ndarray) -> "Hidden":
        """Pairs of user (0..n_users-1) and item codes in any order, int64 [N] each."""
        order = np.lexsort((items, users))
        return cls(np.searchsorted(users[order], np.arange(n_users + 1)), items[order])

    @classmethod
    def none(cls, n_users: int) -> "Hidden":
        """Nothing is hidden."""
        return cls(np.zeros(n_users + 1, np.int64), np.zeros(0, np.int64))

    def of_user(self, user: int) -> np.ndarray:
        """The codes of one user's hidden items."""
        return self.items[self.offsets[user] : self.offsets[user + 1]]

    def exclude(self, logits: torch.Tensor, users: np.ndarray) -> None:
        """Set the scores (float [B, V+1]) of the hidden items of `users` to -inf, in place."""
        rows, columns = self.cells(users)
        logits[torch.from_numpy(rows), torch.from_numpy(columns)] = NEVER

    def cells(self, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns, int64 each, of the hidden items among scores [B, V+1] of `users`."""
        positions, rows = flat_rows(self.offsets[users], self.offsets[users + 1])
        return rows, self.items[positions]


@dataclass(frozen=True)
class Lists:
    """A block of lists, one row for each slot, lists one after the other."""

    users: np.ndarray  # int64 [n], code of the user
    ranks: np.ndarray  # int32 [n], from 1
    codes: np.ndarray  # int64 [n], code of the item
    scores: np.ndarray  # float64 [n]
    probabilities: np.ndarray  # float64 [n]
    propensities: np.ndarray  # float64 [n]
    explored: np.ndarray  # bool [n], drawn at random
    repeated: np.ndarray  # bool [n], shown although seen: the user has seen every item


def list_id(
    user_id: str,
    model_version: str,
    data: str,
    settings: ListSettings,
    hidden: Sequence[str] = (),
) -> str:
    """The same for the same user, model, data, settings and hidden items; 24 hex digits.

    Args:
        user_id: whose list.
        model_version: who ranks.
        data: fingerprint of what is ranked by.
        settings: of all lists.
        hidden: ids of the items that the user wants no more of, in order.
    """
    parts = [user_id, model_version, data, *vars(settings).values(), *hidden]
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:24]


def make_lists(
    scorer: Scorer,
    sequences: Sequences,
    list_ids: Sequence[str],
    settings: ListSettings,
    hidden: Hidden | None = None,
    block: int = 64,
    traits: ItemTraits | None = None,
    map_made: MapMade = here,
) -> Iterator[Lists]:
    """Lists for the step after all events, for every user, `block` users at a time.

    Args:
        scorer: what ranks.
        sequences: all events.
        list_ids: of each user, in the order of their codes; randomised slots depend on them.
        settings: length, filter and exploration.
        hidden: items that are not shown to a user; none when not given.
        block: users whose scores of all items are held at a time.
        traits: of all items; lists with diversity are varied by them.
        map_made: who makes them; each worker has a scorer of its own.
    """
    hidden = hidden or Hidden.none(sequences.n_users)
    make = partial(_list_maker, scorer, sequences, list_ids, settings, hidden, traits)
    starts = range(0, sequences.n_users, block)
    yield from map_made(make, [range(s, min(s + block, sequences.n_users)) for s in starts])


def _list_maker(
    scorer: Scorer,
    sequences: Sequences,
    list_ids: Sequence[str],
    settings: ListSettings,
    hidden: Hidden,
    traits: ItemTraits | None,
) -> Callable[[range], Lists]:
    """What makes the lists of a block of users."""

    def make(block: range) -> Lists:
        ids = list_ids[block.start : block.stop]
        return recommend(scorer, sequences, np.array(block), ids, settings, hidden, traits)

    return make


def recommend(
    scorer: Scorer,
    sequences: Sequences,
    users: np.ndarray,
    list_ids: Sequence[str],
    settings: ListSettings,
    hidden: Hidden,
    traits: ItemTraits | None = None,
) -> Lists:
    """The lists of a block of users after all their events: the one way a list comes to be.

    Args:
        scorer: what ranks.
        sequences: the events of at least these users.
        users: int64 [B], as many as there is room for scores [B, V+1].
        list_ids: of each of `users`; randomised slots depend on them.
        settings: length, filter and exploration.
        hidden: items that are not shown to a user.
        traits: of all items; lists with diversity are varied by them.
    """
    logits = scorer.logits(sequences, sequences.offsets[users + 1], users)
    return lists_of(logits, sequences, users, list_ids, settings, hidden, traits=traits)


def lists_of(
    logits: torch.Tensor,
    sequences: Sequences,
    users: np.ndarray,
    list_ids: Sequence[str],
    settings: ListSettings,
    hidden: Hidden,
    allowed: torch.Tensor | None = None,
    refill: bool = True,
    traits: ItemTraits | None = None,
) -> Lists:
    """`recommend` from scores (float [B, V+1], modified in place).

    Args:
        logits: scores of all items, column 0 is -inf.
        sequences: the events of at least these users.
        users: int64 [B].
        list_ids: of each of `users`.
        settings: length, filter and exploration.
        hidden: items that are not shown to a user.
        allowed: bool [B, V+1], items that may be shown; all when not given.
        refill: whether a list that would be empty shows what was seen, or else what is hidden; it
            never shows what is not allowed.
        traits: of all items; lists with diversity are varied by them.

    Raises:
        ValueError: the settings ask for diversity and there are no traits.
    """
    probabilities = logits.softmax(1)
    if allowed is not None:
        logits[~allowed] = NEVER
    cells = _cells_left_out(sequences, users, settings, hidden)
    scored = logits[cells]
    logits[cells] = NEVER
    exhausted = logits.amax(1).isneginf()
    if refill and exhausted.any():
        logits[cells] = torch.where(exhausted[cells[0]], scored, NEVER)
        logits[exhausted] = _refilled(logits[exhausted], users[exhausted.numpy()], hidden)
    if settings.diversity:
        codes = _varied(logits.numpy(), settings, traits)
    else:
        codes = best(logits, settings.top_k).numpy()
    propensities = np.ones(codes.shape)
    explored = np.zeros(codes.shape, dtype=bool)
    slots = exploration.explored_slots(settings.top_k, settings.exploration)
    if slots:
        candidates = ~logits.isneginf().numpy()
        for row, key in enumerate(list_ids):
            _explore(
                (settings.seed, key), probabilities[row].numpy(), candidates[row], slots,
                settings.temperature, codes[row], propensities[row], explored[row],
            )  # fmt: skip
    chosen = torch.from_numpy(codes)
    filled = codes > 0
    rows, columns = np.nonzero(filled)
    return Lists(
        users[rows],
        (columns + 1).astype(np.int32),
        codes[filled],
        logits.gather(1, chosen).numpy()[filled].astype(np.float64),
        probabilities.gather(1, chosen).numpy()[filled].astype(np.float64),
        propensities[filled],
        explored[filled],
        exhausted.numpy()[rows],
    )


def leave_out(
    logits: torch.Tensor,
    sequences: Sequences,
    users: np.ndarray,
    settings: ListSettings,
    hidden: Hidden,
) -> None:
    """Set the scores (float [B, V+1]) of what `users` (int64 [B]) are not shown to -inf, in place.

    That is what is hidden, and what was seen where the settings exclude it.
    """
    logits[_cells_left_out(sequences, users, settings, hidden)] = NEVER


def _cells_left_out(
    sequences: Sequences, users: np.ndarray, settings: ListSettings, hidden: Hidden
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns, int64 each, of what is left out of scores [B, V+1] of `users`."""
    rows, columns = hidden.cells(users)
    if settings.exclude_seen:
        positions, seen_by = flat_rows(sequences.starts[users], sequences.offsets[users + 1])
        rows = np.concatenate([rows, seen_by])
        columns = np.concatenate([columns, sequences.items[positions]])
    return torch.from_numpy(rows), torch.from_numpy(columns.astype(np.int64))


def _refilled(logits: torch.Tensor, users: np.ndarray, hidden: Hidden) -> torch.Tensor:
    """Scores of all items for users without a candidate: hidden ones only if nothing else is left.

    `logits` [B, V+1] are of all items; `users` [B].
    """
    shown = logits.clone()
    hidden.exclude(shown, users)
    nothing = shown[:, 1:].isneginf().all(1)
    shown[nothing] = logits[nothing]
    return shown


def _varied(scores_BV: np.ndarray, settings: ListSettings, traits: ItemTraits | None) -> np.ndarray:
    """Codes of each row's list, int64 [B, k], 0 = none: the likeliest first, then unlike ones."""
    if traits is None:
        raise ValueError("lists with diversity need the items' traits")
    wanted, k = Reranking(diversity=settings.diversity), settings.top_k
    listed, nobody = np.zeros((len(scores_BV), k), dtype=np.int64), np.zeros(0, dtype=np.int64)
    for row, scores_V in enumerate(scores_BV):
        codes, kept = candidates(scores_V, depth_of(k), wanted)
        chosen = codes[rerank(codes, kept, traits, nobody, wanted, k)]
        listed[row, : len(chosen)] = chosen
    return listed


def _explore(
    key: tuple[object, ...],
    probabilities: np.ndarray,
    candidates: np.ndarray,
    slots: int,
    temperature: float,
    codes: np.ndarray,
    propensities: np.ndarray,
    explored: np.ndarray,
) -> None:
    """Give the last `slots` slots of one list (modified in place) to drawn items."""
    kept = len(codes) - slots
    candidates = candidates.copy()
    candidates[codes[:kept]] = False
    drawn, chances = exploration.draw(
        probabilities, np.flatnonzero(candidates), slots, key, temperature
    )
    codes[kept:] = 0
    codes[kept : kept + len(drawn)] = drawn
    propensities[kept : kept + len(drawn)] = chances
    explored[kept : kept + len(drawn)] = True
