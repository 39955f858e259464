"""The loop among simulated users: cycles of recommend, respond, ingest and decide."""
