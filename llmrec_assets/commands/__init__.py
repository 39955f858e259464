"""What a person types, a module a subject; thin over Dagster, operations and serving."""
