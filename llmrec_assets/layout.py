"""Where things lie under one data root: the only module that spells a path of the store."""

import os
from dataclasses import dataclass
from pathlib import Path

ROOT_VARIABLE = "LLMREC_DATA_DIR"
DEFAULT_ROOT = "data"


@dataclass(frozen=True)
class Layout:
    """The files of one store. Everything a run reads or writes is below `root`."""

    root: Path

    @classmethod
    def from_environment(cls) -> "Layout":
        """The root named by `LLMREC_DATA_DIR`, or `data/` in the working directory."""
        return cls(Path(os.environ.get(ROOT_VARIABLE) or DEFAULT_ROOT).expanduser().resolve())

    @property
    def landing(self) -> Path:
        """What comes in: a folder each for `events`, `items`, `feedback` and `lists`."""
        return self.root / "landing"

    @property
    def landing_events(self) -> Path:
        """Files of events."""
        return self.landing / "events"

    @property
    def landing_items(self) -> Path:
        """Files of items."""
        return self.landing / "items"

    @property
    def landing_feedback(self) -> Path:
        """Files of impressions and responses."""
        return self.landing / "feedback"

    @property
    def landing_lists(self) -> Path:
        """Files of lists that an online service made and users answered; optional."""
        return self.landing / "lists"

    @property
    def warehouse(self) -> Path:
        """The DuckDB file."""
        return self.root / "llmrec.duckdb"

    @property
    def arrays(self) -> Path:
        """Large arrays that tables refer to."""
        return self.root / "arrays"

    @property
    def encoders(self) -> Path:
        """Text encoders that were made from others; removed ones are made again."""
        return self.root / "encoders"

    @property
    def tasks(self) -> Path:
        """Files that tasks of a running step exchange; nothing of it stays."""
        return self.root / "tasks"

    @property
    def serving(self) -> Path:
        """What readers outside the pipeline may read; each file is replaced atomically."""
        return self.root / "serving"

    @property
    def recommendations(self) -> Path:
        """The published lists."""
        return self.serving / "recommendations.parquet"

    @property
    def published_items(self) -> Path:
        """Titles of the published items."""
        return self.serving / "items.parquet"

    @property
    def packages(self) -> Path:
        """Published packages, a folder each."""
        return self.serving / "packages"

    @property
    def current_package(self) -> Path:
        """Which of the packages is the current one."""
        return self.serving / "current.json"

    @property
    def serving_keys(self) -> Path:
        """Hashes of the online service's API keys; readable by its owner only."""
        return self.root / "serving_keys.json"

    @property
    def pseudonyms(self) -> Path:
        """Which id a pseudonym stands for, encrypted; only a store with a key has it."""
        return self.root / "pseudonyms.db"

    @property
    def mlflow_database(self) -> Path:
        """MLflow's tracking and registry store."""
        return self.root / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        """MLflow's artifacts: model packages and plots."""
        return self.root / "mlartifacts"

    @property
    def behaviors(self) -> Path:
        """The user's own behaviour dictionary; optional."""
        return self.root / "behaviors.json"

    @property
    def dagster_home(self) -> Path:
        """The Dagster instance of this root."""
        return self.root / "dagster"

    @property
    def demo(self) -> "Layout":
        """The root of the embedded demo."""
        return Layout(self.root / "demo")

    @property
    def simulations(self) -> Path:
        """Roots of simulated loops, one each."""
        return self.root / "simulation"

    @property
    def demo_seed(self) -> Path:
        """Of the generated shop; only a demo's root has it."""
        return self.root / "seed"
