"""What MLflow leaves of a file where the process that logged it was killed."""

from pathlib import Path

PREFIX = ".artifact.uploading."  # MLflow writes an artifact under such a name, then renames it


def remove_cut_uploads(artifacts: Path) -> None:
    """Remove unfinished files below MLflow's folder of artifacts; nobody may be logging to it."""
    for path in artifacts.rglob(f"{PREFIX}*"):
        path.unlink(missing_ok=True)
