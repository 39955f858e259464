"""A logger for the terminal: one line when a step starts and ends, and what the step says."""

import logging
import sys

import dagster as dg

START, SUCCESS, FAILURE = "STEP_START", "STEP_SUCCESS", "STEP_FAILURE"
CHECK = "ASSET_CHECK_EVALUATION"


class ProgressHandler(logging.StreamHandler):  # pyright: ignore[reportMissingTypeArgument]
    """Writes what a person waits for, and leaves out the events that the UI keeps anyway."""

    steps: frozenset[str] = frozenset()

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record as one line, if it is progress."""
        event = getattr(record, "dagster_meta", {}).get("dagster_event")
        if event is None:
            # Dagster's own chatter comes as DEBUG.
            text = None if record.levelno < logging.INFO else f"    {_message(record)}"
        else:
            text = self.describe(event)
        if text:
            self.stream.write(text + "\n")
            self.flush()

    def describe(self, event: dg.DagsterEvent) -> str | None:
        """The line for an event, or None where it is not progress."""
        if event.event_type_value == CHECK:
            check = event.asset_check_evaluation_data
            return None if check.passed else f"    check {check.check_name} did not pass"
        step = event.step_key or ""
        if any(step.startswith(f"{asset}_") for asset in self.steps):
            return None  # a check is a step that is named after its asset; quick, and told above
        if event.event_type_value == START:
            self.steps |= {step}
            return f"  {step} …"
        if event.event_type_value == SUCCESS:
            return f"    done in {event.step_success_data.duration_ms / 1000:.1f} s"
        return f"    FAILED: {step}" if event.event_type_value == FAILURE else None


def _message(record: logging.LogRecord) -> str:
    return getattr(record, "dagster_meta", {}).get("orig_message") or record.getMessage()


@dg.logger
def progress(context: dg.InitLoggerContext) -> logging.Logger:
    """Steps, and messages from INFO upwards, on standard output."""
    logger = logging.Logger("llmrec.progress", level=logging.DEBUG)
    logger.addHandler(ProgressHandler(sys.stdout))
    return logger
