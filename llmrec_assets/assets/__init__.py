"""The flow: one module per stage, in the order of their numbers."""
