"""Whether a package ranks here as it did in the pipeline: asked before it may answer anybody."""

import numpy as np

from llmrec_assets.core.online import History, recommend
from llmrec_assets.serving.model import Model

TOLERANCE = 1e-4  # of scores: items this near may stand in either order
_BLOCK = 32


def differing_users(model: Model, most: int, seed: int = 0) -> int:
    """How many of at most `most` random users get another list here than was published.

    Args:
        model: with its published lists.
        most: users that are drawn.
        seed: of the draw.
    """
    n = len(model.list_ids)
    drawn = np.sort(np.random.default_rng(seed).permutation(n)[:most])
    differing = 0
    for users in np.split(drawn, range(_BLOCK, len(drawn), _BLOCK)):
        if not len(users):
            continue
        histories = [History(user) for user in users.tolist()]
        ids = [model.list_ids[user] for user in users.tolist()]
        made = recommend(model.snapshot, histories, ids)
        for place, user in enumerate(users.tolist()):
            own = made.users == place
            differing += not same_list(model, user, made.codes[own], made.scores[own])
    return differing


def same_list(model: Model, user: int, codes: np.ndarray, scores: np.ndarray) -> bool:
    """Whether these are the published items in their order; near scores may change places.

    The last of a list may be another item where both score alike: it was a tie at the edge.
    """
    kept = model.published_list(user)
    if len(kept.codes) != len(codes):
        return False
    different = kept.codes != codes
    return bool((np.abs(kept.scores - scores)[different] <= TOLERANCE).all())
