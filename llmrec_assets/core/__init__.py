"""Pure functions and networks: tensors, frames and values in, values out."""
