"""The outside world: files, databases, encoders and registries."""
