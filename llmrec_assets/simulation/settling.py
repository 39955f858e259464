"""What the daemon would do: ask the sensors, and launch what they ask for until they rest."""

import dagster as dg

from llmrec_assets.automation import sensors
from llmrec_assets.definitions import defs
from llmrec_assets.instance import COMMAND_TAG
from llmrec_assets.resources.landing import Landing


def settle(instance: dg.DagsterInstance, landing: Landing) -> list[str]:
    """Work until no sensor asks for more; the names of the jobs, in order.

    Raises:
        Exception: what made a run fail.
    """
    done = []
    while (request := next_request(instance, landing)) is not None:
        job = defs.resolve_job_def(str(request.job_name))
        job.execute_in_process(
            instance=instance,
            run_config={**request.run_config, "loggers": {"progress": {}}},
            tags={**request.tags, COMMAND_TAG: "true"},
        )
        done.append(str(request.job_name))
    return done


def next_request(instance: dg.DagsterInstance, landing: Landing) -> dg.RunRequest | None:
    """What the sensors ask for now, the earlier stages first; None where they ask for nothing."""
    asked = (
        (sensors.collect_new_feedback, {"landing": landing}),
        (sensors.ingest_new_files, {"landing": landing}),
        (sensors.learn_from_new_data, {}),
    )
    for sensor, resources in asked:
        with dg.build_sensor_context(instance=instance) as context:
            decision = sensor(context, **resources)
        if isinstance(decision, dg.RunRequest):
            return decision
    return None
