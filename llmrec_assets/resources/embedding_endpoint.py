"""A text encoder behind an HTTP endpoint that speaks the OpenAI embeddings protocol.

No message of this module holds the key or a text: errors end up in logs that others read.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from llmrec_assets.core.embedding_answers import BAD_MODEL, parsed, unit_rows, vectors_of
from llmrec_assets.core.encoding import EncoderUnavailable

if TYPE_CHECKING:
    from openai import OpenAI, OpenAIError

URL, KEY, BUDGET = "LLMREC_ENCODER_URL", "LLMREC_ENCODER_KEY", "LLMREC_ENCODER_TOKEN_BUDGET"
CHARACTERS_A_TOKEN = 4  # of English; a Chinese character is about one token, so this is a floor
PROBE = "dimension"  # what is sent where only the length of a vector is asked
TOO_MUCH = "check the model's name, and lower batch_size, max_chars or dimensions"
REMEDIES = {
    400: TOO_MUCH,
    401: f"{KEY} is wrong or not set",
    403: f"{KEY} is wrong or may not use this model",
    404: f"the model's name is wrong, or {URL} is (it usually ends in /v1)",
    413: TOO_MUCH,
    422: TOO_MUCH,
    429: f"lower concurrency, or raise the quota of {KEY} with the provider",
}
TRY_LATER = f"the server failed: try again later, and check {URL} if it stays so"


class EndpointError(Exception):
    """The endpoint gave no answer, or refused the request."""


class EndpointAnswerError(EndpointError):
    """The endpoint answered with something other than one good vector a text."""


class TokenBudgetSpent(EndpointError):
    """The next request would go beyond the token budget, so it was not sent."""


@dataclass
class Usage:
    """What was paid for, also where the answer was of no use."""

    requests: int = 0  # that got an answer
    tokens: int = 0
    cost: float = 0.0
    estimated: bool = False  # some answer did not say its tokens


@dataclass(frozen=True)
class Batch:
    """The texts of one request."""

    place: slice  # of the caller's texts
    rows: list[int]  # which of `place` are not blank; only those are sent
    sent: list[str]

    @property
    def tokens(self) -> int:
        """An estimate."""
        return -(-sum(map(len, self.sent)) // CHARACTERS_A_TOKEN)

    def spread(self, vectors: np.ndarray) -> np.ndarray:
        """The vectors at their rows, and zero rows for blank texts."""
        rows = np.zeros((self.place.stop - self.place.start, vectors.shape[1]), np.float32)
        rows[self.rows] = vectors
        return rows


class EmbeddingEndpoint:
    """An `Encoder` over HTTP; nothing is sent before there is a text to encode.

    `usage` grows over the life of the object, and the budget is compared with it.
    """

    def __init__(
        self,
        *,
        model: str,
        base_url: str,
        key: str,
        batch_size: int = 64,
        concurrency: int = 4,
        timeout_s: float = 30.0,
        max_retries: int = 5,
        token_budget: int | None = None,
        price_per_million: float = 0.0,
        dimensions: int | None = None,
        max_chars: int = 8000,
    ) -> None:
        self.model, self.base_url, self._key = model, base_url.strip(), key.strip() or "none"
        self.batch_size, self.concurrency, self.max_chars = batch_size, concurrency, max_chars
        self.timeout_s, self.max_retries = timeout_s, max_retries
        self.token_budget, self.price_per_million = token_budget, price_per_million
        self.dimensions, self.usage = dimensions, Usage()
        self._length = dimensions  # of a vector; without a setting, that of the first answer
        self._where = f"the embedding endpoint {_public(self.base_url)} (model {model!r})"
        if not re.fullmatch(r"[!-~]+", self._key):  # the client's own error would show it
            raise EndpointError(f"{KEY} holds a space or another character that no key has")

    def encode(self, texts: list[str]) -> np.ndarray:
        """float32 [n, D], each row of unit length, or zero for a blank text.

        Raises:
            EndpointError: as `encode_batches`; the vectors of finished batches are lost.
        """
        finished = list(self.encode_batches(texts))
        rows = np.zeros((len(texts), self._length or 0), np.float32)
        for place, vectors in finished:
            rows[place] = vectors
        return rows

    def encode_batches(self, texts: list[str]) -> Iterator[tuple[slice, np.ndarray]]:
        """(place among the texts, their rows) of each batch once it is finished, in any order.

        An error comes after all the batches that were paid for.

        Raises:
            EndpointError: the endpoint refused a request or did not answer.
            EndpointAnswerError: an answer was wrong.
            TokenBudgetSpent: the next request is beyond the budget.
        """
        batches = [self._batch(texts, first) for first in range(0, len(texts), self.batch_size)]
        waiting = deque(batch for batch in batches if batch.sent)
        running: dict[Future[bytes], Batch] = {}
        failure: Exception | None = None
        with ThreadPoolExecutor(self.concurrency) as pool:
            while True:
                while (
                    failure is None
                    and waiting
                    and len(running) < self.concurrency
                    and self._affordable([*running.values(), waiting[0]])
                ):
                    batch = waiting.popleft()
                    running[pool.submit(self._ask, self._client, batch.sent)] = batch
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    batch = running.pop(future)
                    try:
                        rows = self._rows(batch, future)
                    except Exception as error:
                        failure = failure or error
                    else:
                        yield batch.place, rows
        if failure is not None:
            raise failure
        if waiting:
            raise TokenBudgetSpent(
                f"{self._where}: {self.usage.tokens} tokens are spent and the next request takes"
                f" about {waiting[0].tokens}, which is beyond the budget of {self.token_budget}:"
                f" raise {BUDGET}"
            )
        for batch in batches:
            if not batch.sent:
                yield batch.place, batch.spread(np.zeros((0, self.dimension()), np.float32))

    def dimension(self) -> int:
        """D; where neither a setting nor an answer has told it, one word is encoded.

        Raises:
            EndpointError: as `encode_batches`.
        """
        if self._length is None:
            list(self.encode_batches([PROBE]))
        assert self._length is not None
        return self._length

    def _batch(self, texts: list[str], first: int) -> Batch:
        place = slice(first, min(first + self.batch_size, len(texts)))
        # A lone surrogate cannot be sent, and the codec's own error would show the text.
        cut = [
            text.strip()[: self.max_chars].encode("utf-8", "replace").decode()
            for text in texts[place]
        ]
        rows = [row for row, text in enumerate(cut) if text]
        return Batch(place, rows, [cut[row] for row in rows])

    def _affordable(self, batches: Iterable[Batch]) -> bool:
        if self.token_budget is None:
            return True
        return self.usage.tokens + sum(batch.tokens for batch in batches) <= self.token_budget

    @cached_property
    def _client(self) -> "OpenAI":
        try:
            from openai import OpenAI
        except ImportError as error:
            raise EncoderUnavailable(
                "an embedding endpoint needs its client: pip install 'llmrec-assets[endpoint]'"
            ) from error
        return OpenAI(
            base_url=self.base_url,
            api_key=self._key,
            timeout=self.timeout_s,
            max_retries=self.max_retries,
        )

    def _ask(self, client: "OpenAI", texts: list[str]) -> bytes:
        """The body of one answer as it came: the client's own parsing validates nothing."""
        options: dict[str, Any] = {"dimensions": self.dimensions} if self.dimensions else {}
        answer = client.embeddings.with_raw_response.create(
            model=self.model, input=texts, encoding_format="float", **options
        )
        return answer.http_response.content

    def _rows(self, batch: Batch, future: Future[bytes]) -> np.ndarray:
        """The rows of a finished batch; what it cost is counted first, good or not."""
        from openai import OpenAIError

        first, end = batch.place.start, batch.place.stop
        number = first // self.batch_size + 1
        where = f"{self._where}, batch {number} (texts {first} to {end - 1})"
        try:
            body = future.result()
        except OpenAIError as error:
            raise EndpointError(f"{where}: {self._explain(error)}") from _scrubbed(error)
        try:
            answer = parsed(body)
            self._count(answer, batch)
            vectors = vectors_of(answer, len(batch.sent))
            self._check_length(vectors.shape[1])
        except ValueError as error:
            raise EndpointAnswerError(f"{where}: the answer {error}") from error
        return batch.spread(unit_rows(vectors))

    def _count(self, answer: dict[str, Any], batch: Batch) -> None:
        said = answer.get("usage")
        said = said if isinstance(said, dict) else {}
        counts = (said.get("total_tokens"), said.get("prompt_tokens"))
        tokens = next((count for count in counts if isinstance(count, int) and count > 0), None)
        self.usage.requests += 1
        self.usage.tokens += batch.tokens if tokens is None else tokens
        self.usage.cost = self.usage.tokens * self.price_per_million / 1e6
        self.usage.estimated |= tokens is None

    def _check_length(self, length: int) -> None:
        if self._length is None:
            self._length = length
        if length != self._length:
            mend = f"leave dimensions={self.dimensions} unset" if self.dimensions else BAD_MODEL
            raise ValueError(f"has vectors of {length} numbers instead of {self._length}: {mend}")

    def _explain(self, error: "OpenAIError") -> str:
        import openai

        if isinstance(error, openai.APIStatusError):
            remedy = REMEDIES.get(error.status_code, TRY_LATER)
            return f"it refused with HTTP {error.status_code}: {remedy}"
        if isinstance(error, openai.APITimeoutError):
            tries = f"{self.max_retries + 1} times no answer within {self.timeout_s:g} s"
            return f"{tries}: raise timeout_s or lower batch_size"
        return f"no connection, or it broke: {URL} is wrong or nothing runs there"


def _public(base_url: str) -> str:
    """The address without what may be secret in it: user, password and query."""
    try:
        parts = urlsplit(base_url)
        port = f":{parts.port}" if parts.port else ""
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("no http address")
    except ValueError as error:
        raise EndpointError(f"{URL} must be like https://host/v1") from error
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def _scrubbed(error: "OpenAIError") -> "OpenAIError":
    """The error without the words of the server, which may repeat the key or the texts."""
    import openai

    if isinstance(error, openai.APIStatusError):
        error.message, error.body = f"HTTP {error.status_code}", None
        error.args = (error.message,)
    return error
