"""What every request passes: limits, keys, measures, and headers on the way out.

Plain ASGI: Starlette's own base class for middleware costs more than a list does.
"""

import ipaddress
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.exceptions import HTTPException

from llmrec_assets.serving import logs
from llmrec_assets.serving.keys import Key, Keys
from llmrec_assets.serving.measures import ServiceMeasures
from llmrec_assets.serving.options import LOOPBACK, ServeOptions

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_OPEN = ("/health/", "/page/")  # the page's files hold no data
_WRITES = ("/v1/feedback",)
_TOO_LARGE = "the body has more than {} bytes: send less at once"
_SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'"),
    (b"cache-control", b"no-store"),
]


class Refusal(Exception):
    """A request that goes no further."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers or {}


class Buckets:
    """A token bucket for each client: `rate` a second, and one second's worth at once."""

    def __init__(self, rate: float, most: int = 10_000) -> None:
        self.rate, self.most = rate, most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> float:
        """Seconds until the client may come again; 0 where it may now."""
        now = time.monotonic()
        left, since = self._left.pop(client, (self.rate, now))
        left = min(self.rate, left + (now - since) * self.rate)
        self._left[client] = (max(left - 1, 0) if left >= 1 else left, now)
        if len(self._left) > self.most:
            self._left.popitem(last=False)
        return 0.0 if left >= 1 else (1 - left) / self.rate


class Gate:
    """The outermost application."""

    def __init__(
        self, app: App, options: ServeOptions, measures: ServiceMeasures, keys: Keys | None
    ) -> None:
        """Without `keys` everybody who reaches the service may ask."""
        self.app, self.options, self.measures, self.keys = app, options, measures, keys
        self.buckets = Buckets(options.rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *_SECURITY]
            await send(message)

        try:
            self._admit(scope)
            await self.app(scope, _Bounded(receive, self.options.most_bytes), sent)
        except Refusal as refusal:
            if not status:
                await _answer(sent, refusal)
        except Exception as error:  # its message may hold ids: only its place is told
            logs.warn("a request failed", route=_route(scope), error=logs.place_of(error))
            if not status:
                await _answer(sent, Refusal(500, "the service failed; its log says where"))
        finally:
            seconds = time.perf_counter() - started
            self.measures.answered(_route(scope), _method(scope), status, seconds)

    def _admit(self, scope: Scope) -> None:
        """Raises Refusal."""
        headers = dict(scope["headers"])
        path = scope["path"]
        if self.options.is_loopback:
            _require_local_name(headers.get(b"host", b""))
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self.options.most_bytes:
            raise Refusal(413, _TOO_LARGE.format(self.options.most_bytes))
        if path == "/" or path.startswith(_OPEN):
            return
        key = self._key(headers) if self.keys is not None else None
        client = key.sha256 if key else (scope.get("client") or ("",))[0]
        if wait := self.buckets.take(client):
            seconds = {"retry-after": str(max(1, round(wait)))}
            raise Refusal(429, f"more than {self.options.rate:g} requests a second", seconds)
        if key:
            needed = "write" if path.startswith(_WRITES) else "read"
            if needed not in key.scopes:
                raise Refusal(403, f"the key has no scope {needed}")

    def _key(self, headers: dict[bytes, bytes]) -> Key:
        scheme, _, secret = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        found = None
        if scheme.lower() == "bearer" and self.keys is not None:
            found = self.keys.find(secret.strip())
        if found is None:
            bearer = {"www-authenticate": "Bearer"}
            raise Refusal(401, "send a key of this service: Authorization: Bearer KEY", bearer)
        return found


class _Bounded:
    """`receive`, until more bytes came than a body may have."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._most, self._bytes = receive, most, 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._bytes += len(message.get("body", b""))
        if self._bytes > self._most:
            raise HTTPException(413, _TOO_LARGE.format(self._most))  # the only kind let through
        return message


def _require_local_name(host: bytes) -> None:
    """Refuse what a page elsewhere sends through a name that it made point here."""
    name = host.decode("latin-1").rsplit(":", 1)[0] if not host.endswith(b"]") else host.decode()
    name = name.strip("[]").lower()
    try:
        local = name in LOOPBACK or ipaddress.ip_address(name).is_loopback
    except ValueError:
        local = False
    if not local:
        raise Refusal(421, "this service answers to the names of this machine only")


def _route(scope: Scope) -> str:
    """The template of the route, never the path, which may hold ids."""
    return getattr(scope.get("route"), "path_format", "none")


def _method(scope: Scope) -> str:
    known = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    return scope["method"] if scope["method"] in known else "other"


async def _answer(send: Send, refusal: Refusal) -> None:
    body = json.dumps({"detail": refusal.detail}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    headers |= refusal.headers
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
