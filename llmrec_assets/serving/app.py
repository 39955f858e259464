"""The application: routes over a service, problems as JSON with a reason, health and metrics."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from llmrec_assets.serving import answers, logs
from llmrec_assets.serving.gate import Gate, Refusal
from llmrec_assets.serving.journal import Busy, Conflict
from llmrec_assets.serving.keys import Keys
from llmrec_assets.serving.options import ServeOptions
from llmrec_assets.serving.page import add_page
from llmrec_assets.serving.routes import Json, router
from llmrec_assets.serving.service import NotReady, Service
from llmrec_assets.serving.times import BadTime

_ABOUT = """Ranks what the pipeline published, newest events included.

Where keys are needed: `Authorization: Bearer KEY`, of scope `write` for feedback, else `read`."""


def make_app(options: ServeOptions) -> Gate:
    """The whole application of one data root; it starts and stops with its lifespan.

    Raises:
        BadKeysFile: keys are needed, as others can reach the service, and there are none.
    """
    needs_keys = options.keys is not None or not options.is_loopback
    keys = Keys.read(options.keys_file) if needs_keys else None
    service = Service(options)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        logs.say("started", keys=keys is not None)
        yield
        await service.stop()
        logs.say("stopped")

    # The pages of docs that FastAPI has load scripts from elsewhere; the schema alone does not.
    app = FastAPI(
        title="llmrec", description=_ABOUT, version="1", lifespan=lifespan,
        docs_url=None, redoc_url=None, redirect_slashes=False,
    )  # fmt: skip
    app.state.service = service
    app.include_router(router)
    _add_health(app, service)
    add_page(app)
    _add_problems(app)
    return Gate(app, options, service.measures, keys)


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/health/live", response_model=answers.Health, tags=["health"])
    async def live() -> Json:
        """The process answers."""
        return Json({"status": "ok", "reason": ""})

    unready = {"model": answers.Health, "description": "Not yet; the reason says why."}

    @app.get(
        "/health/ready", response_model=answers.Health, tags=["health"], responses={503: unready}
    )
    async def ready() -> Json:
        """A package serves."""
        try:
            _ = service.model
        except NotReady as error:
            return Json({"status": "not ready", "reason": str(error)}, status_code=503)
        return Json({"status": "ok", "reason": ""})

    @app.get("/metrics", response_class=Response, tags=["health"])
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(service.measures.text(), media_type=service.measures.content_type)


def _add_problems(app: FastAPI) -> None:
    """Every error is {"detail": reason}; what was sent is not repeated."""

    async def invalid(_: Request, error: Exception) -> Json:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
        return Json({"detail": f"{place[:200]}: {first['msg']}"}, status_code=422)

    async def known(_: Request, error: Exception) -> Json:
        assert isinstance(error, HTTPException)
        return Json({"detail": error.detail}, error.status_code, dict(error.headers or {}))

    async def refused(_: Request, error: Exception) -> Json:
        assert isinstance(error, Refusal)
        return Json({"detail": error.detail}, error.status, error.headers)

    def plain(status: int, **headers: str):  # noqa: ANN202 - a handler like the others
        async def handler(_: Request, error: Exception) -> Json:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return Json({"detail": str(error)}, status, named)

        return handler

    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, known)
    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(NotReady, plain(503, retry_after="1"))
    app.add_exception_handler(Busy, plain(503, retry_after="1"))
    app.add_exception_handler(Conflict, plain(409))
    app.add_exception_handler(BadTime, plain(422))
