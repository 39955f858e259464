"""What keeping unit vectors in two bytes a number costs."""

import numpy as np


def neighbours_kept(vectors: np.ndarray, k: int = 10, most: int = 1000) -> float | None:
    """Share of each vector's k nearest (by cosine) that stay so in float16; None below k + 2.

    Args:
        vectors: float32 [n, D] of unit length.
        k: neighbours of each.
        most: vectors that are compared with each other, evenly spaced.
    """
    chosen = vectors[:: -(-len(vectors) // most)] if len(vectors) else vectors
    if len(chosen) < k + 2:
        return None
    nearest = [_nearest(own, k) for own in (chosen, chosen.astype(np.float16).astype(np.float32))]
    kept = [len(np.intersect1d(one, two)) for one, two in zip(*nearest, strict=True)]
    return float(np.mean(kept)) / k


def _nearest(vectors: np.ndarray, k: int) -> np.ndarray:
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    return np.argpartition(-cosines, k, axis=1)[:, :k]
