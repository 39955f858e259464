"""A logger for the terminal: one line when a step starts and ends, and what the step says."""

import logging
import sys

import dagster as dg

START, SUCCESS, FAILURE = "STEP_START", "STEP_SUCCESS", "STEP_FAILURE"


class ProgressHandler(logging.StreamHandler):  # pyright: ignore[reportMissingTypeArgument]
    """Writes what a person waits for, and leaves out the events that the UI keeps anyway."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record as one line, if it is progress."""
        text = describe(record)
        if text:
            self.stream.write(text + "\n")
            self.flush()


def describe(record: logging.LogRecord) -> str | None:
    """The line for a record, or None where it is not progress."""
    meta = getattr(record, "dagster_meta", {})
    event = meta.get("dagster_event")
    if event is None:
        return f"    {meta.get('orig_message', record.getMessage())}"
    if event.event_type_value == START:
        return f"  {event.step_key} …"
    if event.event_type_value == SUCCESS:
        return f"    done in {event.step_success_data.duration_ms / 1000:.1f} s"
    if event.event_type_value == FAILURE:
        return f"    FAILED: {event.step_key}"
    return None


@dg.logger
def progress(context: dg.InitLoggerContext) -> logging.Logger:
    """Steps, and messages from INFO upwards, on standard output."""
    logger = logging.Logger("llmrec.progress", level=logging.INFO)
    logger.addHandler(ProgressHandler(sys.stdout))
    return logger
