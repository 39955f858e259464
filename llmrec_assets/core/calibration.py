"""Lists whose categories are those of the user's own history, in the same proportions.

Steck, Calibrated Recommendations, RecSys 2018. NumPy only.
"""

import numpy as np

SMOOTHING = 0.01  # of the history's shares mixed into the list's, so that the divergence is finite


class Calibration:
    """The Kullback-Leibler divergence between the categories of history and growing list.

    The list's shares are q = (1 - `SMOOTHING`) q' + `SMOOTHING` p, with q' its plain ones and p the
    history's. One more item of a category changes one term of the sum, so that candidates compare
    by that term alone.
    """

    def __init__(self, candidates: np.ndarray, history: np.ndarray) -> None:
        """Begin with an empty list.

        Args:
            candidates: int64 [n], categories of what may be listed, from 1, 0 = none.
            history: int64 [h], categories of the user's events; those without one do not count.
        """
        names, taken = np.unique(history[history > 0], return_counts=True)
        self.wanted = taken / max(taken.sum(), 1)  # p, [C]
        self.listed = np.zeros(len(names))
        places = np.searchsorted(names, candidates)
        found = np.append(names, 0)[places] == candidates
        # What the user never had, or has no category, brings no wanted category forward.
        self.of_candidate = np.where(found & (candidates > 0), places, len(names))
        self.n = 0

    @property
    def possible(self) -> bool:
        """Something is known of the user's categories."""
        return len(self.wanted) > 0

    def relief(self) -> np.ndarray:
        """How much less KL(history || list) were each candidate listed next: float64 [n].

        Less than were an item listed that the history has no like of.
        """
        smoothing = SMOOTHING / (1 - SMOOTHING) * (self.n + 1) * self.wanted
        relief = self.wanted * np.log1p(1 / (self.listed + smoothing))
        return np.append(relief, 0.0)[self.of_candidate]

    def add(self, candidate: int) -> None:
        """List the candidate at this place."""
        self.n += 1
        if self.of_candidate[candidate] < len(self.listed):
            self.listed[self.of_candidate[candidate]] += 1
