"""Faults planted into a running service, and what must hold once it has recovered by itself."""
