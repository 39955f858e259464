"""MLflow below the data root: runs, model versions and which of them is in service."""

import contextlib
import errno
import json
import logging
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from llmrec_assets.resources import model_package
from llmrec_assets.resources.checksums import DamagedFile, seal_folder, verify_folder
from llmrec_assets.resources.model_package import ModelPackage, PackageInfo
from llmrec_assets.resources.owned_folders import scratch_folder
from llmrec_assets.resources.whole_file import make_once

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

MODEL = "llmrec"
CHAMPION, CHALLENGER = "champion", "challenger"
VERSION_TAG = "llmrec_version"
SEAL_TAG = "llmrec_sha256"  # of the list of hashes of a version's files
PACKAGE_FOLDER = "package"
_LOST = (
    "put it back from a backup (llmrec restore into a new root); or move mlflow.db and mlartifacts"
    " away and launch the job retrain: the registry begins anew"
)


class Registry(dg.ConfigurableResource):
    """Model versions by our own names, which are hashes of data, config and code.

    Registering the same version again changes nothing, so a repeated step leaves no duplicate.
    MLflow notes absolute places; no package is looked for there, so a store may be moved or copied.
    """

    database: str = Field(description="The SQLite file of MLflow.")
    artifacts: str = Field(description="The folder of MLflow's artifacts.")
    model: str = Field(default=MODEL, description="Name of the registered model, of its runs too.")

    @contextlib.contextmanager
    def run(self, name: str, dagster_run_id: str) -> "Iterator[tuple[MlflowClient, str]]":
        """Yield (client, MLflow run id); the run is marked as failed when the block raises."""
        client = self._client()
        experiment = self._experiment(client)
        tags = {"dagster_run_id": dagster_run_id}
        run_id = client.create_run(experiment, run_name=name, tags=tags).info.run_id
        try:
            yield client, run_id
        except BaseException:
            client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id, "FINISHED")

    def register(self, package: ModelPackage, run_id: str) -> int:
        """Log the package to the run and register it as the challenger; MLflow's number of it."""
        return self.register_files(
            package.info.version, lambda folder: model_package.save(package, folder), run_id
        )

    def register_files(self, version: str, save: Callable[[Path], None], run_id: str) -> int:
        """`register` for whatever `save` writes into the folder that it is given.

        The files of a version that is there already are written anew where they are damaged.
        """
        client = self._client()
        found = self._find(client, version)
        if found is None:
            with scratch_folder() as folder:
                save(folder)
                seal = seal_folder(folder)
                client.log_artifacts(run_id, str(folder), PACKAGE_FOLDER)
            if not client.search_registered_models(f"name = '{self.model}'"):
                client.create_registered_model(self.model)
            source = f"{client.get_run(run_id).info.artifact_uri}/{PACKAGE_FOLDER}"
            tags = {VERSION_TAG: version, SEAL_TAG: seal}
            found = client.create_model_version(self.model, source, run_id, tags=tags)
        elif not self._is_whole(found):
            self._save_anew(client, found, save)
        client.set_registered_model_alias(self.model, CHALLENGER, str(found.version))
        return int(found.version)

    def _is_whole(self, found: "ModelVersion") -> bool:
        try:
            self._verify(found)
        except DamagedFile:
            return False
        return True

    def _verify(self, found: "ModelVersion") -> None:
        """See that a version's files are as they were registered; older ones have no seal."""
        if SEAL_TAG in found.tags:
            version = found.tags[VERSION_TAG]
            verify_folder(self._place(found), found.tags[SEAL_TAG], _remedy(self.model, version))

    def _save_anew(
        self, client: "MlflowClient", found: "ModelVersion", save: Callable[[Path], None]
    ) -> None:
        """A save that is cut short leaves files that are still damaged by the tag."""
        folder = self._place(found)
        partial = folder.with_name(f".{folder.name}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save(partial)
        seal = seal_folder(partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
        client.set_model_version_tag(self.model, str(found.version), SEAL_TAG, seal)

    def damaged(self) -> list[DamagedFile]:
        """What is wrong with the files of all versions, one finding each."""
        found = []
        for version in self._client().search_model_versions(
            f"name = '{self.model}'", max_results=10_000
        ):
            try:
                self._verify(version)
            except DamagedFile as error:
                found.append(error)
        return found

    def has(self, version: str) -> bool:
        """Whether the version is registered."""
        return self._find(self._client(), version) is not None

    def versions(self) -> list[str]:
        """Our names of all versions, the newest first."""
        found = self._client().search_model_versions(f"name = '{self.model}'", max_results=10_000)
        return [v.tags[VERSION_TAG] for v in sorted(found, key=lambda v: -int(v.version))]

    def log_test_metrics(self, version: str, rows: "pd.DataFrame") -> None:
        """Log the version's own scores of `rows` (protocol, scorer, metric, score) to its run."""
        client = self._client()
        found = self._find(client, version)
        if found is None:
            return  # nothing was trained: the baselines' scores stand in the warehouse alone
        for row in rows[rows["scorer"] == version].itertuples():
            name = f"{row.protocol}_{row.metric}"
            client.log_metric(str(found.run_id), name, float(str(row.score)))

    def load(self, version: str) -> ModelPackage:
        """The package of one of our version names.

        Raises:
            KeyError: there is no such version.
        """
        return model_package.load(self.folder(version))

    def info(self, version: str) -> PackageInfo:
        """What is known of one of our version names, without its weights.

        Raises:
            KeyError: there is no such version.
        """
        return model_package.load_info(self.folder(version))

    def page(self, version: str) -> str | None:
        """Path of the version's run in MLflow's pages; None where there is no such version."""
        client = self._client()
        found = self._find(client, version)
        if found is None or found.run_id is None:
            return None
        experiment = client.get_run(found.run_id).info.experiment_id
        return f"/#/experiments/{experiment}/runs/{found.run_id}"

    def folder(self, version: str) -> Path:
        """Where the files of one of our version names lie, as they were registered.

        Raises:
            KeyError: there is no such version.
            DamagedFile: a file has changed since, or is gone.
        """
        found = self._known(self._client(), version)
        self._verify(found)
        return self._place(found)

    def _place(self, found: "ModelVersion") -> Path:
        return Path(self.artifacts) / str(found.run_id) / "artifacts" / PACKAGE_FOLDER

    def alias(self, alias: str) -> str | None:
        """Our name of the version that carries `alias`, or None."""
        from mlflow.exceptions import MlflowException

        try:
            return self._client().get_model_version_by_alias(self.model, alias).tags[VERSION_TAG]
        except MlflowException as error:
            # MLflow answers with either code where the model or its alias is not there yet.
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def promote(self, version: str, reason: str) -> None:
        """Give `version` the champion's alias, with the reason on it.

        Raises:
            KeyError: there is no such version.
        """
        client = self._client()
        number = str(self._known(client, version).version)
        client.set_registered_model_alias(self.model, CHAMPION, number)
        client.set_model_version_tag(self.model, number, "promoted_because", reason)

    def record_decision(self, version: str, record: dict[str, Any]) -> None:
        """Write a decision about `version` on it: tags, description, and JSON beside its run.

        `record` holds at least decision_id, outcome and reason. Nothing happens where the version
        is not registered, because nothing was trained.
        """
        client = self._client()
        found = self._find(client, version)
        if found is None:
            return
        number, outcome = str(found.version), str(record["outcome"])
        for tag in ("decision_id", "outcome"):
            client.set_model_version_tag(self.model, number, tag, str(record[tag]))
        client.update_model_version(self.model, number, f"{outcome}: {record['reason']}")
        told = json.dumps(record, indent=2, ensure_ascii=False, default=str)
        log_file(
            client, str(found.run_id), f"decisions/{record['decision_id']}.json",
            lambda file: file.write_text(told, encoding="utf-8"),
        )  # fmt: skip

    def demote(self) -> None:
        """Take the champion's alias away: nothing is good enough to serve."""
        if self.alias(CHAMPION) is not None:
            self._client().delete_registered_model_alias(self.model, CHAMPION)

    def _find(self, client: "MlflowClient", version: str) -> "ModelVersion | None":
        found = client.search_model_versions(f"name = '{self.model}'", max_results=10_000)
        return next((v for v in found if v.tags.get(VERSION_TAG) == version), None)

    def _known(self, client: "MlflowClient", version: str) -> "ModelVersion":
        found = self._find(client, version)
        if found is None:
            raise KeyError(f"model version {version!r} is not registered in {self.database}")
        return found

    def _experiment(self, client: "MlflowClient") -> str:
        """The id of the experiment whose runs write below `artifacts`.

        Where an experiment writes is fixed when it is made: a store that was moved since goes on
        in a new one, and the old one steps aside with its runs.
        """
        here = Path(self.artifacts).resolve().as_uri()
        found = client.get_experiment_by_name(self.model)
        if found and found.artifact_location == here:
            return found.experiment_id
        if found:
            aside = f"{self.model} {found.experiment_id}, before the store was moved"
            client.rename_experiment(found.experiment_id, aside)
        return client.create_experiment(self.model, artifact_location=here)

    def _client(self) -> "MlflowClient":
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it announces every migration
        database = Path(self.database).resolve()
        self._require_database(database)
        make_once(database, _new_database)
        return MlflowClient(tracking_uri=f"sqlite:///{database}")

    def _require_database(self, path: Path) -> None:
        """MLflow would begin anew, and who serves would be forgotten without a word."""
        if path.exists() and not path.stat().st_size:
            raise DamagedFile(path, "is empty", _LOST)
        if path.exists() and not os.access(path, os.R_OK):  # MLflow would try for two minutes
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        if not path.exists() and any(Path(self.artifacts).glob(f"*/artifacts/{PACKAGE_FOLDER}")):
            raise DamagedFile(path, "is gone, but versions that it knew are there", _LOST)


def log_file(
    client: "MlflowClient", run_id: str, path: str, write: Callable[[Path], object]
) -> None:
    """Log to `path` what `write` makes of a file.

    MLflow's log_dict and log_figure would leave it among temporary files where they are killed.
    """
    with scratch_folder() as folder:
        file = folder / Path(path).name
        write(file)
        parent = str(Path(path).parent)
        client.log_artifact(run_id, str(file), None if parent == "." else parent)


def _new_database(path: Path) -> None:
    """MLflow migrates an empty file for seconds, and cannot go on from a half-migrated one."""
    from mlflow import MlflowClient

    with scratch_folder() as folder:
        migrated = folder / "mlflow.db"
        MlflowClient(tracking_uri=f"sqlite:///{migrated}").search_experiments()
        # A copy, because MLflow keeps its own file open.
        with (
            contextlib.closing(sqlite3.connect(migrated)) as source,
            contextlib.closing(sqlite3.connect(path)) as target,
        ):
            source.backup(target)


def _remedy(model: str, version: str) -> str:
    if model != MODEL:
        return "launch the job retrain_with_encoder, which tunes it anew, or put the file back"
    return (
        "put it back from a backup (llmrec restore into a new root), or serve another version:"
        f" llmrec rollback VERSION; {version} must not serve"
    )
