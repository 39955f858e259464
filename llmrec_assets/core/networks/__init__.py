"""The networks, and the model that is built of them."""
