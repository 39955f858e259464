"""The online service: ranks what the pipeline published, together with the newest events.

Nothing of Dagster, MLflow, DuckDB or training is loaded here: the pipeline writes packages, the
service reads them, and what it learns goes back as files of the landing zone.
"""
