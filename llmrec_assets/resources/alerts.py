"""What is told about a run that failed: which step, which kind of error and what to do.

No message of an error is sent, as it may quote a row, and no address is logged, as it may hold a
token.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from llmrec_assets.core.remedies import OF_ERRORS, remedy_of
from llmrec_assets.settings import setting

_UNKNOWN = "read the run's log; llmrec doctor looks at the store"
_TRIES, _PAUSE, _TIMEOUT = 3, 0.5, 5.0  # seconds


@dataclass(frozen=True)
class Failed:
    """One step that failed; of a run that was killed, the run itself."""

    step: str
    error: str  # class of the error, or of its innermost cause where it is not the product's own
    remedy: str


@dataclass(frozen=True)
class Alert:
    """One run that failed."""

    run_id: str
    job: str
    page: str  # of the run in Dagster's UI
    failed: list[Failed]

    def in_words(self) -> str:
        """For a log."""
        lines = [f"  {one.step}: {one.error} → {one.remedy}" for one in self.failed]
        return "\n".join([f"{self.job} failed ({self.page})", *lines])


def alert_of(run_id: str, job: str, failures: Sequence[Any]) -> Alert:
    """What to tell; `failures` are Dagster's events of steps that failed.

    A check that stops what comes after it fails with the same error each time: it counts once.
    """
    failed = [_failed(event) for event in failures]
    if not failed:
        killed = "the process that ran it was killed"
        failed = [Failed("run", "RunKilled", remedy_of([], [killed]) or _UNKNOWN)]
    page = f"{setting('DAGSTER_URL', 'http://127.0.0.1:3000').rstrip('/')}/runs/{run_id}"
    return Alert(run_id, job, page, list(dict.fromkeys(failed)))


def _failed(event: Any) -> Failed:  # noqa: ANN401 - Dagster's DagsterEvent, without importing it
    error, kinds, texts = event.step_failure_data.error, [], []
    while error:
        kinds.append(error.cls_name or "")
        texts.append(error.message)
        error = error.cause
    kinds = [kind for kind in kinds if kind]
    own = next((kind for kind in kinds if kind in OF_ERRORS), kinds[-1] if kinds else "unknown")
    return Failed(event.step_key or "run", own, remedy_of(kinds, texts) or _UNKNOWN)


def send(alert: Alert) -> str:
    """Post the alert as JSON to LLMREC_ALERT_URL; what became of it, in words for a log."""
    url = setting("ALERT_URL", "")
    if not url:
        return "LLMREC_ALERT_URL is not set: nobody was told"
    if not url.startswith(("http://", "https://")):
        return "LLMREC_ALERT_URL is no http:// or https:// address: nobody was told"
    body = json.dumps(asdict(alert)).encode()
    request = Request(url, body, {"Content-Type": "application/json"})
    trouble = ""
    for tried in range(_TRIES):
        time.sleep(_PAUSE * tried)
        try:
            with urlopen(request, timeout=_TIMEOUT):
                return "LLMREC_ALERT_URL was told"
        except URLError as error:
            code = getattr(error, "code", None)
            trouble = f"answered {code}" if code else "did not answer"
            if code and code < 500:
                break
        except OSError:
            trouble = "did not answer"
    return f"LLMREC_ALERT_URL {trouble}: nobody was told"
