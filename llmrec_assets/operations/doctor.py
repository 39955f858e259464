"""Whether a store is fit for work: the table of contents of all that is looked at."""

from llmrec_assets.layout import Layout
from llmrec_assets.operations import health_files, health_published, health_system, health_tables
from llmrec_assets.operations.findings import Check, Finding

CHECKS: tuple[Check, ...] = (
    health_system.versions,
    health_system.disk,
    health_system.permissions,
    health_system.keys,
    health_system.secrets,
    health_system.locks,
    health_files.databases,
    health_files.arrays,
    health_files.models,
    health_files.landing,
    health_tables.warehouse,
    health_tables.log,
    health_published.package,
    health_published.champion,
)


def examine(layout: Layout) -> list[Finding]:
    """All findings about a store, the well ones too."""
    return [finding for check in CHECKS for finding in check(layout)]
