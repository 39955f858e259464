"""One JSON object a line on standard error. Nothing that names a user is ever handed to it."""

import json
import logging
import sys
from datetime import UTC, datetime

_LOG = logging.getLogger("llmrec.serving")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = getattr(record, "facts", {})
        head = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        return json.dumps({**head, **facts}, ensure_ascii=False, default=str)


def configure(level: str = "INFO") -> None:
    """Send this service's log and uvicorn's to standard error, in one form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    for name in ("llmrec.serving", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level if name == "llmrec.serving" else "WARNING")


def say(event: str, **facts: object) -> None:
    """Log what happened."""
    _LOG.info(event, extra={"facts": facts})


def warn(event: str, **facts: object) -> None:
    """Log what somebody should look at."""
    _LOG.warning(event, extra={"facts": facts})


def place_of(error: BaseException) -> str:
    """Kind and place of an error, without its message, which may hold what a client sent."""
    trace, place = error.__traceback__, ""
    while trace:
        code = trace.tb_frame.f_code
        place = f"{code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {place}"
