"""MLflow below the data root: runs, model versions and which of them is in service."""

import contextlib
import logging
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from llmrec_assets.resources import model_package
from llmrec_assets.resources.model_package import ModelPackage
from llmrec_assets.resources.whole_file import make_once

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

MODEL = "llmrec"
CHAMPION, CHALLENGER = "champion", "challenger"
VERSION_TAG = "llmrec_version"


class Registry(dg.ConfigurableResource):
    """Model versions by our own names, which are hashes of data, config and code.

    Registering the same version again changes nothing, so a repeated step leaves no duplicate.
    """

    database: str = Field(description="The SQLite file of MLflow.")
    artifacts: str = Field(description="The folder of MLflow's artifacts.")

    @contextlib.contextmanager
    def run(self, name: str, dagster_run_id: str) -> "Iterator[tuple[MlflowClient, str]]":
        """Yield (client, MLflow run id); the run is marked as failed when the block raises."""
        client = self._client()
        experiment = client.get_experiment_by_name(MODEL)
        experiment_id = (
            experiment.experiment_id
            if experiment
            else client.create_experiment(
                MODEL, artifact_location=Path(self.artifacts).resolve().as_uri()
            )
        )
        tags = {"dagster_run_id": dagster_run_id}
        run_id = client.create_run(experiment_id, run_name=name, tags=tags).info.run_id
        try:
            yield client, run_id
        except BaseException:
            client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id, "FINISHED")

    def register(self, package: ModelPackage, run_id: str) -> int:
        """Log the package to the run and register it as the challenger; MLflow's number of it."""
        client = self._client()
        number = self._number(client, package.info.version)
        if number is None:
            with tempfile.TemporaryDirectory() as folder:
                model_package.save(package, Path(folder))
                client.log_artifacts(run_id, folder, "package")
            if not client.search_registered_models(f"name = '{MODEL}'"):
                client.create_registered_model(MODEL)
            source = f"{client.get_run(run_id).info.artifact_uri}/package"
            tags = {VERSION_TAG: package.info.version}
            number = int(client.create_model_version(MODEL, source, run_id, tags=tags).version)
        client.set_registered_model_alias(MODEL, CHALLENGER, str(number))
        return number

    def log_test_metrics(self, version: str, rows: "pd.DataFrame") -> None:
        """Log the version's own scores of `rows` (protocol, scorer, metric, score) to its run."""
        client = self._client()
        number = self._number(client, version)
        if number is None:
            return  # nothing was trained: the baselines' scores stand in the warehouse alone
        run_id = client.get_model_version(MODEL, str(number)).run_id or ""
        for row in rows[rows["scorer"] == version].itertuples():
            client.log_metric(run_id, f"{row.protocol}_{row.metric}", float(str(row.score)))

    def load(self, version: str) -> ModelPackage:
        """The package of one of our version names.

        Raises:
            KeyError: there is no such version.
        """
        client = self._client()
        number = self._number(client, version)
        if number is None:
            raise KeyError(f"model version {version!r} is not registered in {self.database}")
        source = client.get_model_version(MODEL, str(number)).source or ""
        return model_package.load(_local_path(source))

    def alias(self, alias: str) -> str | None:
        """Our name of the version that carries `alias`, or None."""
        from mlflow.exceptions import MlflowException

        try:
            return self._client().get_model_version_by_alias(MODEL, alias).tags[VERSION_TAG]
        except MlflowException as error:
            # MLflow answers with either code where the model or its alias is not there yet.
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def promote(self, version: str, reason: str) -> None:
        """Give `version` the champion's alias, with the reason on it."""
        client = self._client()
        number = str(self._number(client, version))
        client.set_registered_model_alias(MODEL, CHAMPION, number)
        client.set_model_version_tag(MODEL, number, "promoted_because", reason)

    def demote(self) -> None:
        """Take the champion's alias away: nothing is good enough to serve."""
        if self.alias(CHAMPION) is not None:
            self._client().delete_registered_model_alias(MODEL, CHAMPION)

    def _number(self, client: "MlflowClient", version: str) -> int | None:
        found = client.search_model_versions(f"name = '{MODEL}'", max_results=10_000)
        return next((int(v.version) for v in found if v.tags.get(VERSION_TAG) == version), None)

    def _client(self) -> "MlflowClient":
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it announces every migration
        database = Path(self.database).resolve()
        make_once(database, _new_database)
        return MlflowClient(tracking_uri=f"sqlite:///{database}")


def _new_database(path: Path) -> None:
    """MLflow migrates an empty file for seconds, and cannot go on from a half-migrated one."""
    from mlflow import MlflowClient

    with tempfile.TemporaryDirectory() as folder:
        migrated = Path(folder) / "mlflow.db"
        MlflowClient(tracking_uri=f"sqlite:///{migrated}").search_experiments()
        # A copy, because MLflow keeps its own file open.
        with (
            contextlib.closing(sqlite3.connect(migrated)) as source,
            contextlib.closing(sqlite3.connect(path)) as target,
        ):
            source.backup(target)


def _local_path(uri: str) -> Path:
    from mlflow.artifacts import download_artifacts

    return Path(download_artifacts(artifact_uri=uri))
