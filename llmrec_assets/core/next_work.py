"""The cheapest work that is enough for what is new. Numbers in, a decision out.

| work | is wanted when |
|---|---|
| `refresh_lists` | the newest lists lack an event, or an item as it is now |
| `warm_start` | enough events, or answers to lists, that no challenger saw, or the data drifted; \
and a model serves whose weights can be trained on |
| `retrain` | the data drifted; or enough is new and no model serves, or events have grown by a \
fifth since a model last started afresh |
| `retrain_with_encoder` | nothing was ever trained; or a `retrain` is wanted and item texts \
drifted, or events have grown by half since the encoder was tuned |

Of the works that are wanted the costliest is chosen that is not held back: a cooldown has passed
since it, or a costlier one, last succeeded, and it did not fail too often for what is new now. So
a drifted shop whose last retraining is too fresh starts warm meanwhile, and draws new lists
meanwhile. A drift counts only among events that no challenger saw: one that was trained on and
lost is not trained on again.
"""

from dataclasses import dataclass, field
from math import inf
from typing import Literal, get_args

Work = Literal["refresh_lists", "warm_start", "retrain", "retrain_with_encoder"]
WORKS: tuple[Work, ...] = get_args(Work)  # each does all that the one before it does
TEXTS = "item_texts"  # the drift that a newly tuned encoder may answer


@dataclass(frozen=True)
class News:
    """What is known of a store. Numbers of events and items are ingestion sequence numbers."""

    events: int = 0  # newest event
    judged: int | None = None  # newest that a challenger was trained through; None before the first
    answers: int = 0  # events that came from feedback and that no challenger saw
    drifted: tuple[str, ...] = ()  # measures, among events that no challenger saw
    model_serves: bool = True  # and no baseline
    fresh_through: int = 0  # newest event when a model last started from nothing
    encoder_through: int | None = None  # newest event when the encoder was tuned; None for never
    listed: int = 0  # newest event that the newest lists know
    items: int = 0  # newest item
    items_listed: int = 0  # newest item that the newest lists know
    since: dict[Work, float] = field(default_factory=dict)  # seconds since it last succeeded
    failures: dict[Work, int] = field(default_factory=dict)  # failed runs for what is new now
    retry_in: dict[Work, float] = field(default_factory=dict)  # seconds to wait after a failure

    @property
    def new_events(self) -> int:
        """Events that no challenger saw."""
        return self.events - (self.judged or 0)


@dataclass(frozen=True)
class Rules:
    """From when on work is wanted, and how often."""

    min_events: int = 1000
    min_answers: int = 200
    fresh_growth: float = 0.2
    encoder_growth: float = 0.5
    cooldowns: dict[Work, float] = field(default_factory=dict)  # seconds
    max_failures: int = 3


@dataclass(frozen=True)
class Choice:
    """What to do, None for nothing, and why, with all numbers."""

    work: Work | None
    reason: str


def choose(news: News, rules: Rules) -> Choice:
    """The costliest work that is wanted and not held back."""
    held = []
    for work, reason in reversed(wanted(news, rules).items()):
        if obstacle := _obstacle(work, news, rules):
            held.append(f"{work} {obstacle}: {reason}")
        else:
            return Choice(work, "; ".join([f"{work}: {reason}", *held, numbers(news, rules)]))
    return Choice(None, "; ".join([*(held or ["nothing to do"]), numbers(news, rules)]))


def wanted(news: News, rules: Rules) -> dict[Work, str]:
    """Every work that would be of use, the cheapest first, with the reason."""
    if news.new_events > 0 and news.judged is None:
        return dict.fromkeys(("retrain", "retrain_with_encoder"), "nothing was ever trained")
    found: dict[Work, str] = {}
    if news.judged is not None and _unlisted(news) > 0:
        found["refresh_lists"] = "the lists lack what is new"
    enough = _enough(news, rules)
    drift = f"drift of {', '.join(news.drifted)}" if news.drifted and news.new_events > 0 else ""
    if (reason := enough or drift) and news.model_serves:
        found["warm_start"] = reason
    if reason := drift or (enough and _stale(news, rules)):
        found["retrain"] = reason
        grown = _growth(news.events, news.encoder_through)
        if TEXTS in news.drifted or grown >= rules.encoder_growth:
            found["retrain_with_encoder"] = f"{reason}; {grown:.0%} since the encoder was tuned"
    return found


def numbers(news: News, rules: Rules) -> str:
    """All that was weighed, and the cooldowns that are left."""
    parts = [
        f"{news.new_events} events ({rules.min_events} needed) and {news.answers} answers"
        f" ({rules.min_answers}) that no challenger saw",
        f"{_growth(news.events, news.fresh_through):.0%} more events than at the last fresh start"
        f" ({rules.fresh_growth:.0%}), {_growth(news.events, news.encoder_through):.0%} than at the"
        f" encoder's ({rules.encoder_growth:.0%})",
        f"drift: {', '.join(news.drifted) or 'none'}",
        f"the lists lack {max(0, news.events - news.listed)} events and"
        f" {max(0, news.items - news.items_listed)} items",
    ]
    left = {work: _cooldown_left(work, news, rules) for work in WORKS}
    if waits := [f"{work} {_duration(seconds)}" for work, seconds in left.items() if seconds > 0]:
        parts.append(f"cooldown left: {', '.join(waits)}")
    return "; ".join(parts)


def _enough(news: News, rules: Rules) -> str:
    """Which threshold the news reach; empty for none."""
    if news.new_events >= rules.min_events:
        return f"{news.new_events} new events"
    return f"{news.answers} new answers" if news.answers >= rules.min_answers else ""


def _stale(news: News, rules: Rules) -> str:
    """Why going on from the champion is not enough; empty where it is."""
    if not news.model_serves:
        return "no model serves that could be trained on"
    grown = _growth(news.events, news.fresh_through)
    if grown < rules.fresh_growth:
        return ""
    return f"{grown:.0%} more events than at the last fresh start"


def _unlisted(news: News) -> int:
    return max(news.events - news.listed, news.items - news.items_listed)


def _growth(now: int, then: int | None) -> float:
    """By what share of what there was then; 0 where there is nothing to compare with."""
    return (now - then) / then if then else 0.0


def _obstacle(work: Work, news: News, rules: Rules) -> str:
    """What holds the work back; empty for nothing."""
    if (failed := news.failures.get(work, 0)) >= rules.max_failures:
        return f"was given up after {failed} failed runs (look at the last, then launch it by hand)"
    wait = max(_cooldown_left(work, news, rules), news.retry_in.get(work, 0.0))
    return f"waits {_duration(wait)}" if wait > 0 else ""


def _cooldown_left(work: Work, news: News, rules: Rules) -> float:
    return rules.cooldowns.get(work, 0.0) - news.since.get(work, inf)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
