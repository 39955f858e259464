"""The demo's generated shop and the simulator of its users."""
