"""The HTTP interface: each route asks the service once and writes the answer."""

import asyncio
import json
import time
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Query, Request, Response

from llmrec_assets.published import Champion
from llmrec_assets.serving import answers, lists, times
from llmrec_assets.serving.gate import Refusal
from llmrec_assets.serving.model import Model
from llmrec_assets.serving.schemas import (
    Feedback,
    HistoryQuery,
    Id,
    ListOptions,
    SearchQuery,
    SessionRequest,
    SimilarQuery,
    WhyRequest,
)
from llmrec_assets.serving.service import Service

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": answers.Problem, "description": told}
    for status, told in {
        400: "The body is no JSON in UTF-8.",
        401: "A key is needed.",
        403: "The key lacks the scope.",
        404: "No such path, or the catalogue has no such item.",
        413: "The body is too large.",
        422: "The request is not of this form; the reason says which field.",
        429: "Too many requests; Retry-After says when to come again.",
        503: "Not ready, or too much at once; Retry-After says when to come again.",
    }.items()
}
router = APIRouter(prefix="/v1", responses=_PROBLEMS)


class Json(Response):
    """An answer that is known to be finite and of its form."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:  # noqa: ANN401
        """As JSON."""
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8")


def service_of(request: Request) -> Service:
    """The service behind the application."""
    return request.app.state.service


@router.get("/users/{user_id:path}/recommendations", response_model=answers.List)
async def recommend_to_user(
    request: Request, user_id: Annotated[Id, Path()], options: Annotated[ListOptions, Query()]
) -> Json:
    """A user's list. An unknown user, or an erased one, gets the list of a newcomer."""
    return await _list(request, user_id, options)


@router.post("/recommendations", response_model=answers.List)
async def recommend_to_session(request: Request, wanted: SessionRequest) -> Json:
    """A list for a session or a cart, alone or at the end of a user's history."""
    return await _list(request, wanted.user_id, wanted)


async def _list(request: Request, user_id: str | None, options: ListOptions) -> Json:
    service, started = service_of(request), time.perf_counter()
    made = await service.make_list(user_id, options)
    info = made.wanted.model.info
    return Json(
        {
            "list_id": made.wanted.list_id,
            "model_version": info.model_version,
            "package": info.package_id,
            "source": made.source,
            "budget_ms": service.options.budget_ms,
            "took_ms": round((time.perf_counter() - started) * 1e3, 3),
            "ignored": made.wanted.ignored,
            "items": lists.items_of(made.wanted.model, made.slots),
        }
    )


@router.get("/users/{user_id:path}/history", response_model=answers.PastEvents)
async def history(
    request: Request, user_id: Annotated[Id, Path()], asked: Annotated[HistoryQuery, Query()]
) -> Json:
    """A user's newest events, newest first; none of an unknown or erased user."""
    service = service_of(request)
    user_id = service.known_as(user_id)
    model, live = service.model, service.live.of(user_id)
    newest = [
        _past(model, event.item, event.behavior, event.time, "live") for event in reversed(live)
    ]
    user, whole = model.users.get(user_id), model.snapshot.sequences
    if user is not None:
        first, last = int(whole.offsets[user]), int(whole.offsets[user + 1])
        names = ("", *model.info.behaviors)
        newest += [
            _past(
                model,
                model.facts[int(whole.items[place])]["item_id"],
                names[int(whole.behaviors[place])],
                int(whole.times[place]),
                "published",
            )
            for place in range(last - 1, max(first, last - asked.limit) - 1, -1)
        ]
    return Json({"events": newest[: asked.limit]})


def _past(model: Model, item: str, behavior: str, time: int, origin: str) -> dict[str, Any]:
    facts = model.facts[model.item_codes.get(item, 0)]
    return {
        "item_id": item,
        "title": facts["title"],
        "category": facts["category"],
        "behavior": behavior,
        "timestamp": times.written(time, model.info.relative),
        "origin": origin,
    }


@router.get("/items/{item_id:path}/similar", response_model=answers.SimilarItems)
async def similar(
    request: Request, item_id: Annotated[Id, Path()], asked: Annotated[SimilarQuery, Query()]
) -> Json:
    """Items whose texts mean the like; none for an item without a text."""
    model = service_of(request).model
    code = model.item_codes.get(item_id)
    if code is None:
        raise Refusal(404, "the catalogue has no such item")
    near = await asyncio.to_thread(_similar, model, code, asked.k)
    return Json({"items": near})


def _similar(model: Model, code: int, k: int) -> list[dict[str, Any]]:
    vectors = model.snapshot.item_vectors
    if not vectors.shape[1] or not vectors[code].any():
        return []
    likeness = vectors @ vectors[code]
    likeness[[0, code]] = -2
    likeness[~vectors.any(axis=1)] = -2  # without a text
    k = min(k, len(likeness))
    nearest = np.argpartition(-likeness, k - 1)[:k]
    nearest = nearest[np.lexsort((nearest, -likeness[nearest]))]
    return [
        {**model.facts[near], "similarity": float(likeness[near])}
        for near in nearest.tolist()
        if likeness[near] > -2
    ]


@router.get("/items", response_model=answers.Items)
async def search(request: Request, asked: Annotated[SearchQuery, Query()]) -> Json:
    """Items whose titles have all the words; the first ones without a word."""
    model = service_of(request).model
    found = await asyncio.to_thread(model.titles.find, asked.query, asked.k)
    return Json({"items": [model.facts[code] for code in found]})


@router.post("/why", response_model=answers.Why)
async def why(request: Request, asked: WhyRequest) -> Json:
    """Which past events, which parts of the model and which near items speak for an item."""
    told = await service_of(request).why(asked)
    if told is None:
        raise Refusal(404, "the catalogue has no such item")
    return Json(told)


@router.post("/feedback", response_model=answers.Kept, responses={
    409: {"model": answers.Problem, "description": "An id came before with other content."}
})  # fmt: skip
async def keep(request: Request, feedback: Feedback) -> Json:
    """Events, impressions and other responses: on disk before the answer, each id once."""
    accepted, duplicates = await service_of(request).keep(feedback)
    return Json({"accepted": accepted, "duplicates": duplicates, "durable": True})


@router.get("/model", response_model=answers.Model)
async def model(request: Request) -> Json:
    """What serves now."""
    service = service_of(request)
    serving = service.model
    info, settings = serving.info, serving.snapshot.settings
    champion = info.champion or Champion(version=info.model_version)
    return Json(
        {
            "package": info.package_id,
            "model_version": info.model_version,
            "source": info.source,
            "generated_at": times.written(times.micros_of(info.generated_at), relative=False),
            "encoder": info.encoder,
            "items": serving.snapshot.n_items,
            "users": len(serving.list_ids),
            "top_k": settings.top_k,
            "exclude_seen": settings.exclude_seen,
            "exploration": settings.exploration,
            "diversity": settings.diversity,
            "relative": info.relative,
            "champion": champion.model_dump(),
            "challenger": info.challenger and info.challenger.model_dump(),
            "links": service.options.links(info.links),
        }
    )
