"""Jobs of the definitions run in the process of a command, and what is said when one fails."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from llmrec_assets.layout import ROOT_VARIABLE, Layout
from llmrec_assets.settings import setting


def run_jobs(layout: Layout, names: list[str], config: dict[str, Any] | None = None) -> None:
    """Run jobs of the root one after the other in this process; exit 1 where one fails."""
    from llmrec_assets.instance import COMMAND_TAG, RootIsBusy, exclusive

    os.environ[ROOT_VARIABLE] = str(layout.root)
    try:
        with exclusive(layout) as instance:
            _require_events(layout)
            from llmrec_assets.definitions import defs

            for name in names:
                click.echo(f"\n{name}")
                result = defs.resolve_job_def(name).execute_in_process(
                    instance=instance,
                    raise_on_error=False,
                    run_config=config or {"loggers": {"progress": {}}},
                    tags={COMMAND_TAG: "true"},
                )
                if not result.success:
                    _alert(name, result)
                    _fail(layout, result)
    except (RootIsBusy, ValueError) as error:
        raise click.ClickException(str(error)) from error


def _require_events(layout: Layout) -> None:
    files = [p for p in layout.landing_events.iterdir() if p.is_file() and p.name[0] != "."]
    if not files and not layout.warehouse.exists():
        raise click.ClickException(
            f"there are no events: put CSV, Parquet or JSON Lines files in {layout.landing_events}"
        )


def _alert(name: str, result: Any) -> None:  # noqa: ANN401 - Dagster's result type is internal
    """Tell LLMREC_ALERT_URL, where there is one: a command may be run by a clock."""
    from llmrec_assets.resources import alerts

    failures = [event for event in result.all_events if event.is_step_failure]
    told = alerts.send(alerts.alert_of(result.run_id, name, failures))
    if setting("ALERT_URL", ""):
        click.echo(told, err=True)


def _fail(layout: Layout, result: Any) -> None:  # noqa: ANN401 - Dagster's result type is internal
    """Say which step or check failed, why and what to do, and exit 1."""
    lines = []
    for event in result.all_events:
        if event.is_step_failure:
            lines.append(f"{event.step_key} failed: {_said(layout, event.step_failure_data.error)}")
    for check in result.get_asset_check_evaluations():
        if check.blocking and not check.passed:
            reason = check.description or ", ".join(
                f"{name} {entry.value}" for name, entry in check.metadata.items()
            )
            lines.append(f"check {check.check_name} of {check.asset_key.path[-1]}: {reason}")
    raise click.ClickException("\n".join(lines) or "the run failed; see llmrec ui")


def _said(layout: Layout, error: Any) -> str:  # noqa: ANN401 - Dagster's SerializableErrorInfo
    """An error's own words, where it is one of the product, else its innermost cause's."""
    from llmrec_assets.operations.trouble import explain, own_words

    errors = []
    while error:
        errors.append(error)
        error = error.cause
    if not errors:
        return "unknown error"
    kinds, texts = [one.cls_name or "" for one in errors], [one.message for one in errors]
    said = own_words(kinds, texts).strip()
    said = said.partition("\n\nThe above exception")[0]  # MLflow quotes its trace
    return f"{said}{explain(layout, kinds, texts)}"


def require_store(layout: Layout) -> None:
    """Exit 1 where the root holds nothing yet."""
    if not layout.warehouse.is_file():
        raise click.ClickException(f"there is no store in {layout.root}: LLMREC_DATA_DIR names it")


@contextmanager
def alone(layout: Layout) -> Iterator[None]:
    """While no run, and no other command, works on the root."""
    from llmrec_assets.instance import RootIsBusy, exclusive

    try:
        with exclusive(layout):
            yield
    except RootIsBusy as error:
        raise click.ClickException(str(error)) from error


def shown_path(path: Path) -> str:
    """Relative to the working directory where that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
