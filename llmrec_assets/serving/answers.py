"""What the service answers. These forms are documentation: answers are written as they are."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from llmrec_assets.published import Challenger, Champion


class Problem(BaseModel):
    """Why not, and what to mend."""

    detail: str


class Item(BaseModel):
    """An item as the catalogue describes it."""

    item_id: str
    title: str | None
    category: str | None
    brand: str | None
    price: float | None


class ListedItem(Item):
    """A slot of a list."""

    rank: int
    score: float = Field(description="The scorer's logit.")
    probability: float = Field(description="Of being next, among all items.")
    propensity: float = Field(description="Of this slot getting this item; 1 if nothing is drawn.")
    source: Literal["model", "exploration", "fallback"]


class List(BaseModel):
    """A user's or a session's list."""

    list_id: str
    model_version: str
    package: str
    source: Literal["live", "published", "fallback"] = Field(
        description="live: ranked now, newest events included; published: as the pipeline made it,"
        " as nothing has happened since; fallback: the time budget was missed, and the published"
        " list stands in."
    )
    budget_ms: float
    took_ms: float
    ignored: int = Field(description="Named items that are not in the catalogue.")
    items: list[ListedItem]


class SimilarItem(Item):
    """A neighbour."""

    similarity: float = Field(description="Cosine of the texts' embeddings.")


class SimilarItems(BaseModel):
    """The nearest items first."""

    items: list[SimilarItem]


class Items(BaseModel):
    """Items of the catalogue."""

    items: list[Item]


class PastEvent(BaseModel):
    """An event of a history."""

    item_id: str
    title: str | None
    category: str | None
    behavior: str
    timestamp: str | int
    origin: Literal["published", "live"]


class PastEvents(BaseModel):
    """The newest events, newest first; none of an unknown user."""

    events: list[PastEvent]


class Driver(BaseModel):
    """A past event and what it does for the item."""

    item_id: str
    title: str | None
    behavior: str
    timestamp: str | int
    effect: float = Field(description="Nats; above 0 where it speaks for the item.")


class NearItem(BaseModel):
    """A past item that is like the recommended one."""

    item_id: str
    title: str | None
    similarity: float


class Why(BaseModel):
    """What speaks for an item."""

    drivers: list[Driver]
    parts: dict[str, float] = Field(description="Shares in nats; none of a baseline.")
    nearest: list[NearItem]
    sentence: str
    copy_line: str = Field(alias="copy")


class Kept(BaseModel):
    """A batch that is on disk."""

    accepted: int
    duplicates: int = Field(description="Known already by their ids.")
    durable: Literal[True] = True


class Model(BaseModel):
    """What serves now."""

    package: str
    model_version: str
    source: Literal["model", "fallback"]
    generated_at: datetime
    encoder: str
    items: int
    users: int
    top_k: int
    exclude_seen: bool
    exploration: float
    diversity: float = Field(description="Of lists that do not ask for another one.")
    relative: bool = Field(description="Times are whole steps of each user's own.")
    champion: Champion
    challenger: Challenger | None = Field(description="Who was judged last.")
    links: dict[str, str] = Field(description="Pages of dagster and mlflow, where they are set.")


class Health(BaseModel):
    """Whether the service can answer."""

    status: Literal["ok", "not ready"]
    reason: str = ""
