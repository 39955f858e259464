"""Recommendation copy by a chat endpoint that speaks the OpenAI protocol, checked, or by template.

No message of this module holds the key, a title or an answer: logs are read by others.
"""

import json
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Literal

from llmrec_assets.core.copy_checks import CopyChecker
from llmrec_assets.core.copy_lines import CopyFacts, template_line
from llmrec_assets.core.copy_prompt import copy_messages
from llmrec_assets.settings import setting

LOG = logging.getLogger(__name__)
MOST_TOKENS = 120  # of an answer
AT_ONCE = 2  # requests in flight; what waits longer than the time limit gets the template


@dataclass(frozen=True)
class CopyLine:
    """A line that may be shown."""

    text: str
    source: Literal["template", "model"]


class CopyWriter:
    """Lines by a model where they pass the checker; safe to call from several threads.

    `counts` tells how often a line was `written`, `cached` or `failed`, and `rejected` and why.
    """

    def __init__(
        self,
        checker: CopyChecker,
        *,
        model: str,
        base_url: str,
        key: str,
        timeout_s: float = 3.0,
        cached: int = 10_000,
    ) -> None:
        """Nothing is sent before the first line.

        Raises:
            ImportError: the client of the protocol is not installed.
        """
        try:
            from openai import OpenAI
        except ImportError as error:
            raise ImportError(
                "copy by a model needs its client: pip install 'llmrec-assets[endpoint]'"
            ) from error
        self.checker, self.model, self.timeout_s, self.cached = checker, model, timeout_s, cached
        self.counts: Counter[str] = Counter()
        self._client: OpenAI = OpenAI(
            base_url=base_url, api_key=key or "none", timeout=timeout_s, max_retries=0
        )
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="copy")
        self._lock, self._lines = Lock(), OrderedDict[CopyFacts, CopyLine]()

    def line(self, facts: CopyFacts) -> CopyLine:
        """A line, kept for the same facts: the model's, or the template where that is no good.

        A failed request is counted, logged by its kind, and not kept.
        """
        with self._lock:
            if (kept := self._lines.get(facts)) is not None:
                self._lines.move_to_end(facts)
                self.counts["cached"] += 1
                return kept
        asked: Future[bytes] = self._pool.submit(self._ask, facts)
        try:
            # The client's own limit is for each read, so a server that drips would hold us.
            text = answer_of(asked.result(self.timeout_s))
        except Exception as error:
            asked.cancel()
            LOG.warning("no copy from the endpoint: %s", type(error).__name__)
            self._count("failed")
            return CopyLine(template_line(facts), "template")
        return self._checked(text, facts)

    def close(self) -> None:
        """Wait for nothing more; requests in flight end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _ask(self, facts: CopyFacts) -> bytes:
        """The body of one answer as it came: the client's own parsing validates nothing."""
        answer = self._client.chat.completions.with_raw_response.create(
            model=self.model,
            messages=copy_messages(facts),  # pyright: ignore[reportArgumentType]
            max_tokens=MOST_TOKENS,
            temperature=0,
        )
        return answer.http_response.content

    def _checked(self, text: str, facts: CopyFacts) -> CopyLine:
        fault = self.checker.fault(text, facts)
        line = CopyLine(text, "model")
        if fault is not None:
            line = CopyLine(template_line(facts), "template")
            self._count("rejected", f"rejected_{fault}")
        else:
            self._count("written")
        with self._lock:
            self._lines[facts] = line
            while len(self._lines) > self.cached:
                self._lines.popitem(last=False)
        return line

    def _count(self, *names: str) -> None:
        with self._lock:
            self.counts.update(names)


def answer_of(body: bytes) -> str:
    """The text of the first choice, without spaces around it.

    Raises:
        ValueError: the body is no such answer.
    """
    try:
        text = json.loads(body)["choices"][0]["message"]["content"]
    except (LookupError, TypeError, UnicodeDecodeError) as error:
        raise ValueError("the answer has no message") from error
    if not isinstance(text, str):
        raise ValueError("the answer's message is no text")
    return text.strip()


def writer_from_environment(checker: Callable[[], CopyChecker]) -> CopyWriter | None:
    """By LLMREC_COPY_URL, LLMREC_COPY_MODEL and LLMREC_COPY_KEY; None where no URL is set.

    `checker` makes the checker where one is needed: it reads all titles.
    """
    base_url = setting("COPY_URL", "")
    if not base_url:
        return None
    return CopyWriter(
        checker(),
        model=setting("COPY_MODEL", "default"),
        base_url=base_url,
        key=setting("COPY_KEY", ""),
        timeout_s=setting("COPY_TIMEOUT_S", 3.0, minimum=0.1),
    )
