"""A request becomes codes, is ranked or falls back, and becomes an answer.

Whatever way the list came, what is hidden, filtered out or in the cart is never in it.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from llmrec_assets.core.behaviors import EXPOSURE
from llmrec_assets.core.lists import ListSettings
from llmrec_assets.core.lists import list_id as published_id
from llmrec_assets.core.reranking import Reranking
from llmrec_assets.serving import times
from llmrec_assets.serving.journal import Kind
from llmrec_assets.serving.live_events import LiveEvent
from llmrec_assets.serving.model import Filters, Model, Slots
from llmrec_assets.serving.schemas import ListOptions, SessionRequest, WhyRequest
from llmrec_assets.serving.variety import varied

_CART: str = "cart"
_SESSION: Kind = "events"


@dataclass(frozen=True)
class Wish:
    """What is to be listed, for whom, of which package."""

    model: Model
    user: int | None  # its code in the package
    events: Sequence[LiveEvent]  # newer than the package
    settings: ListSettings
    filters: Filters
    hidden: np.ndarray  # int64 [h], codes that are never listed
    strict: bool  # the request itself asks for unseen items only
    list_id: str
    ignored: int  # named items that no catalogue has
    reranking: Reranking  # how the list differs from the model's order
    unchanged: bool  # ranking would give what the pipeline published, or its beginning

    @property
    def seen(self) -> np.ndarray:
        """Codes of the history, newest events included."""
        codes = self.model.item_codes
        new = [codes[event.item] for event in self.events if event.item in codes]
        return np.concatenate([self.model.seen(self.user), np.array(new, dtype=np.int64)])

    @property
    def is_published(self) -> bool:
        """Whether it is the list that the pipeline published."""
        return self.user is not None and self.list_id == self.model.list_ids[self.user]


def wish(
    model: Model, user_id: str | None, live: Sequence[LiveEvent], options: ListOptions
) -> Wish:
    """What a request asks of a package.

    An unknown user and an erased one are nobody to the package: both get the cold start.

    Args:
        model: the package that answers.
        user_id: whose history; None for nobody's.
        live: the user's newest events.
        options: of the request; those of a session may add events and a cart.

    Raises:
        times.BadTime: a time of the session cannot be read.
    """
    user = model.users.get(user_id) if user_id is not None else None
    told = isinstance(options, SessionRequest)
    session, cart = session_events(model, options) if told else [], options.cart if told else []
    events = (*live, *session)
    named = [event.item for event in session] + [*options.never, *options.always]
    hidden = model.hidden(user, events) | set(_codes(model, [*options.never, *cart]))
    categories = tuple(sorted(set(options.category)))
    settings, reranking = _settings(model, options)
    strict = bool(options.exclude_seen)
    rules = [*categories, options.min_price, options.max_price, *sorted(hidden)]
    if not reranking.changes_nothing:
        rules.append(reranking)
    unchanged = _is_unchanged(model, user, events, settings, rules, strict)
    if user is not None and unchanged and settings == model.snapshot.settings:
        made_id = model.list_ids[user]
    else:
        made_id = _list_id(model, user_id, events, settings, rules, strict)
    return Wish(
        model,
        user,
        events,
        settings,
        (categories, options.min_price, options.max_price),
        np.array(sorted(hidden), dtype=np.int64),
        strict,
        made_id,
        sum(item not in model.item_codes for item in named),
        reranking,
        unchanged,
    )


def _settings(model: Model, options: ListOptions) -> tuple[ListSettings, Reranking]:
    """What is as in the published lists, and what varies the list otherwise."""
    whole = model.snapshot.settings
    settings = replace(
        whole, top_k=options.k, exclude_seen=_given(options.exclude_seen, whole.exclude_seen)
    )
    diversity = whole.diversity if options.diversity is None else options.diversity
    reranking = _reranking(model, options, diversity)
    if reranking == Reranking(diversity=whole.diversity):
        return settings, Reranking()  # as the published lists are varied
    return replace(settings, diversity=0.0), reranking


def _reranking(model: Model, options: ListOptions, diversity: float) -> Reranking:
    """What varies the list; `never` is hidden anyway."""
    return Reranking(
        diversity=diversity,
        calibration=options.calibration,
        long_tail=options.long_tail,
        freshness=options.freshness,
        max_per_category=options.max_per_category,
        always=frozenset(_codes(model, options.always)),
    )


def _given(asked: bool | None, default: bool) -> bool:
    return default if asked is None else asked


def _codes(model: Model, items: Iterable[str]) -> list[int]:
    return [model.item_codes[item] for item in items if item in model.item_codes]


def session_events(model: Model, options: SessionRequest | WhyRequest) -> list[LiveEvent]:
    """What a request says that somebody did of late, the cart last.

    Raises:
        times.BadTime: a time cannot be read.
    """
    now = times.now_micros()
    events = []
    for told in options.session:
        time = now
        if told.timestamp is not None:
            time = times.parse(told.timestamp, model.info.relative)
        if (behavior := told.behavior.lower()) != EXPOSURE:
            events.append(_event(told.item_id, behavior, time, told.rating, told.value))
    return events + [_event(item, _CART, now, None, None) for item in options.cart]


def _event(
    item: str, behavior: str, time: int, rating: float | None, value: float | None
) -> LiveEvent:
    return LiveEvent("", item, behavior, time, rating, value, False, _SESSION, "")


def _is_unchanged(
    model: Model,
    user: int | None,
    events: Sequence[LiveEvent],
    settings: ListSettings,
    rules: Sequence[object],
    strict: bool,
) -> bool:
    """Whether nothing tells the list from the published one, but that it may be shorter."""
    if user is None or events:
        return False
    whole = model.snapshot
    if list(rules) != [None, None, *sorted(whole.hidden.of_user(user).tolist())]:
        return False
    if strict and "fallback" in model.published_list(user).sources:
        return False
    # Slots drawn at random are a list's last ones, so a shorter list has others; one that is
    # varied is made of fewer candidates.
    shorter = settings.top_k < whole.settings.top_k
    shorter = shorter and not settings.exploration and not settings.diversity
    longest = replace(settings, top_k=whole.settings.top_k) if shorter else settings
    return longest == whole.settings


def _list_id(
    model: Model,
    user_id: str | None,
    events: Sequence[LiveEvent],
    settings: ListSettings,
    rules: Sequence[object],
    strict: bool,
) -> str:
    """A hash of all that a list is made of."""
    new = ["\x1e".join(map(str, event.content)) for event in events]
    parts = [*new, *map(str, rules), str(strict)]
    told = hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
    who, info = user_id if user_id is not None else "", model.info
    return published_id(who, info.model_version, info.package_id, settings, [told])


def replaced(wanted: Wish) -> Wish:
    """The wish that the fallback fulfils: its list is another one than what would be ranked."""
    told = hashlib.sha256(f"{wanted.list_id}\x1ffallback".encode()).hexdigest()
    return replace(wanted, list_id=told[: len(wanted.list_id)])


def fallback(wanted: Wish) -> Slots:
    """The published list, by the same filters, filled up from the cold start's."""
    if wanted.unchanged:
        whole = checked(wanted, wanted.model.published_list(wanted.user))
        return whole.where(slice(wanted.settings.top_k))
    k, first = wanted.settings.top_k, _kept(wanted, wanted.model.published_list(wanted.user))
    if not wanted.reranking.changes_nothing:
        more = _kept(wanted, wanted.model.cold, also_not=first.codes)
        return varied(wanted.model, first.followed_by(more), wanted.seen, wanted.reranking, k)
    if len(first.codes) >= k or wanted.user is None:
        return first.where(slice(k))
    more = _kept(wanted, wanted.model.cold, also_not=first.codes)
    return first.followed_by(more).where(slice(k))


def _kept(wanted: Wish, slots: Slots, also_not: np.ndarray | None = None) -> Slots:
    """The slots that the request lets through; one look-up an item, as the cold start has all."""
    allowed = np.ones(wanted.model.snapshot.n_items + 1, dtype=bool)
    if (kept := wanted.model.allowed(wanted.filters)) is not None:
        allowed &= kept.numpy()
    allowed[wanted.hidden] = False
    if wanted.settings.exclude_seen:
        allowed[wanted.seen] = False
    if also_not is not None:
        allowed[also_not] = False
    return slots.where(allowed[slots.codes])


def checked(wanted: Wish, slots: Slots) -> Slots:
    """A ranked list without what a list that would be empty is filled up with.

    The pipeline shows what was seen, and then what is hidden, rather than nothing. Online nothing
    hidden is ever shown, and nothing seen where the request itself excludes it.
    """
    if "fallback" not in slots.sources:
        return slots
    kept = ~np.isin(slots.codes, wanted.hidden)
    if wanted.strict:
        kept &= ~np.isin(slots.codes, wanted.seen)
    return slots.where(kept)


def items_of(model: Model, slots: Slots) -> list[dict[str, Any]]:
    """The slots as they are answered."""
    columns = (
        slots.codes.tolist(),
        slots.scores.tolist(),
        slots.probabilities.tolist(),
        slots.propensities.tolist(),
        slots.sources.tolist(),
    )
    return [
        {
            "rank": rank,
            **model.facts[code],
            "score": score,
            "probability": probability,
            "propensity": propensity,
            "source": source,
        }
        for rank, (code, score, probability, propensity, source) in enumerate(
            zip(*columns, strict=True), start=1
        )
    ]
