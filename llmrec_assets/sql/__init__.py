"""The SQL of each stage, run by functions that know nothing of Dagster."""
