"""What clients may send: every field has a limit, and unknown fields are errors."""

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StringConstraints,
    model_validator,
)

MOST_ITEMS = 200  # of a list
MOST_RECORDS = 1_000  # of a batch of feedback
MOST_SESSION = 500  # events of a session
MOST_NAMED = 100  # items or categories of a rule
MAX_ID = 256  # the pipeline's own limit
_LARGEST = 1e15  # beyond it the pipeline takes a number for a mistake
_NO_CONTROLS = r"^[^\x00-\x1f\x7f-\x9f]+$"


def _bare(value: str) -> str:
    """The pipeline strips ids: one that has something to strip would name another user or item."""
    if value.strip("\ufeff").strip() != value:
        raise ValueError("may not begin or end with white space")
    return value


Id = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_ID, pattern=_NO_CONTROLS),
    AfterValidator(_bare),
]
Word = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64, pattern=_NO_CONTROLS),
    AfterValidator(_bare),
]
Text = Annotated[str, StringConstraints(max_length=4_000)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Number = Annotated[float, Field(gt=-_LARGEST, lt=_LARGEST, allow_inf_nan=False)]
Price = Annotated[float, Field(ge=0, lt=_LARGEST, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Moment = Annotated[
    Annotated[str, StringConstraints(min_length=1, max_length=40)]
    | Annotated[StrictInt, Field(ge=0, lt=10**17)]
    | Annotated[StrictFloat, Field(ge=0, lt=1e17, allow_inf_nan=False)],
    Field(description="ISO-8601, an epoch, or a step where the store's times are relative."),
]


class Strict(BaseModel):
    """A form without room for what nobody asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ListOptions(Strict):
    """How long a list is and what may be in it."""

    k: int = Field(default=10, ge=1, le=MOST_ITEMS, description="Items of the list, at most.")
    exclude_seen: bool | None = Field(
        default=None,
        description="Leave out items of the history. Not given: as in the published lists.",
    )
    category: list[Label] = Field(
        default_factory=list, max_length=MOST_NAMED, description="Only items of these categories."
    )
    min_price: Price | None = Field(default=None, description="Only items with such a price.")
    max_price: Price | None = Field(default=None, description="Only items with such a price.")
    never: list[Id] = Field(
        default_factory=list, max_length=MOST_NAMED, description="Items that are not listed."
    )

    always: list[Id] = Field(
        default_factory=list, max_length=MOST_NAMED, description="One of these is listed."
    )
    max_per_category: Annotated[int, Field(ge=1, le=MOST_ITEMS)] | None = Field(
        default=None, description="At most so many items of one category."
    )
    diversity: Share | None = Field(
        default=None,
        description="0: the model's order; 1: as unlike as can. Left out: as in published lists.",
    )
    calibration: Share = Field(
        default=0.0, description="How much the list's categories follow the history's."
    )
    long_tail: Share = Field(default=0.0, description="Least share of slots beyond the popular.")
    freshness: Share = Field(default=0.0, description="How much newer items are preferred.")

    @model_validator(mode="after")
    def _prices_are_a_range(self) -> "ListOptions":
        if None not in (self.min_price, self.max_price) and self.min_price > self.max_price:  # pyright: ignore[reportOperatorIssue, reportOptionalOperand]
            raise ValueError("min_price is above max_price")
        return self


class SessionEvent(Strict):
    """What somebody did of late."""

    item_id: Id
    behavior: Word
    timestamp: Moment | None = Field(default=None, description="Not given: now, in their order.")
    rating: Number | None = None
    value: Number | None = None


class SessionRequest(ListOptions):
    """A list for a session, for a cart, or for a user's history with them at its end."""

    user_id: Id | None = Field(default=None, description="Not given: nobody's history.")
    session: list[SessionEvent] = Field(default_factory=list, max_length=MOST_SESSION)
    cart: list[Id] = Field(
        default_factory=list,
        max_length=MOST_NAMED,
        description="Items in the cart: they are read as just put there, and not listed.",
    )


class WhyRequest(Strict):
    """Why an item is recommended to such a history."""

    item_id: Id
    language: Literal["en", "zh"] = "en"
    user_id: Id | None = None
    session: list[SessionEvent] = Field(default_factory=list, max_length=MOST_SESSION)
    cart: list[Id] = Field(default_factory=list, max_length=MOST_NAMED)


class FeedbackEvent(Strict):
    """An event of a user."""

    event_id: Id
    user_id: Id
    item_id: Id
    timestamp: Moment
    behavior: Word
    rating: Number | None = None
    value: Number | None = None
    text: Text | None = None
    session_id: Id | None = None
    list_id: Id | None = Field(default=None, description="The list that led to it.")


class FeedbackResponse(Strict):
    """How a user answered an item of a list; being shown it is the response `impression`."""

    feedback_id: Id
    user_id: Id
    item_id: Id
    timestamp: Moment
    response: Word
    list_id: Id | None = None
    rank: Annotated[StrictInt, Field(ge=1, le=1_000_000)] | None = None
    value: Number | None = Field(default=None, description="A rating, or seconds.")
    event_id: Id | None = Field(default=None, description="The event that tells the same.")


class Feedback(Strict):
    """A batch, kept whole or not at all."""

    events: list[FeedbackEvent] = Field(default_factory=list, max_length=MOST_RECORDS)
    responses: list[FeedbackResponse] = Field(default_factory=list, max_length=MOST_RECORDS)

    @model_validator(mode="after")
    def _holds_something(self) -> "Feedback":
        if not 1 <= len(self.events) + len(self.responses) <= MOST_RECORDS:
            raise ValueError(f"a batch holds 1 to {MOST_RECORDS} events and responses")
        return self


class SearchQuery(Strict):
    """Words of a title."""

    query: Annotated[str, StringConstraints(max_length=200)] = ""
    k: int = Field(default=20, ge=1, le=MOST_ITEMS)


class SimilarQuery(Strict):
    """How many."""

    k: int = Field(default=10, ge=1, le=MOST_ITEMS)


class HistoryQuery(Strict):
    """How many of the newest events."""

    limit: int = Field(default=50, ge=1, le=1_000)


Scope = Literal["read", "write"]
