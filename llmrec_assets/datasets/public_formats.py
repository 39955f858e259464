"""The public data sets that can be imported, by name."""

from llmrec_assets.datasets.public_format import PublicFormat
from llmrec_assets.datasets.public_media import MIND, MOVIELENS
from llmrec_assets.datasets.public_shops import (
    AMAZON_REVIEWS_2023,
    COMPLETE_JOURNEY,
    RETAILROCKET,
    YELP,
)

FORMATS: dict[str, PublicFormat] = {
    "movielens": MOVIELENS,
    "amazon-reviews-2023": AMAZON_REVIEWS_2023,
    "mind": MIND,
    "retailrocket": RETAILROCKET,
    "completejourney": COMPLETE_JOURNEY,
    "yelp": YELP,
}
