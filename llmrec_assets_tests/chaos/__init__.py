"""Faults at random seeded points of a run on a tiny store, beside one that nothing ever befalls."""
