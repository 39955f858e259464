"""The goods of the generated shop: their texts, and the hidden vectors their words stand for."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from llmrec_assets.datasets.shop_words import CATEGORIES, FOLLOWERS, THEMES

DIMENSIONS = 24  # of the hidden vectors of items and of tastes
PARTNERS = 2  # goods that go with one good in particular, whatever their words say


@dataclass(frozen=True)
class Catalogue:
    """I items of T types, and what is hidden about them.

    `frame` holds the columns of the landing file; row i describes item i of every array.
    """

    frame: pd.DataFrame
    vectors: np.ndarray  # [I, D] what a taste is multiplied with: mostly words, a little of its own
    styles: np.ndarray  # [I, D] the part of it that theme and quality words make; length 1
    types: np.ndarray  # [I] type of good
    categories: np.ndarray  # [I]
    consumable: np.ndarray  # [I] whether it is bought again
    popularity: np.ndarray  # [I] in units of utility
    follows: np.ndarray  # [T, T] how much a good of the row's type makes the column's wanted, 0..1
    partners: np.ndarray  # [I, I] 1 where the column goes with the row in particular

    @property
    def ids(self) -> np.ndarray:
        """Item ids in order, such as `i0042`."""
        return self.frame["item_id"].to_numpy(dtype=object)


def make_catalogue(rng: np.random.Generator, n_items: int) -> Catalogue:
    """Draw `n_items` goods, as evenly over the types as the number allows.

    Raises:
        ValueError: there are not enough word combinations for distinct titles.
    """
    types = np.arange(n_items) % _count_types()
    themes, qualities = _choose_words(rng, types)
    frame = pd.DataFrame([
        _describe(rng, index, int(type_), int(theme), int(quality))
        for index, (type_, theme, quality) in enumerate(zip(types, themes, qualities, strict=True))
    ])  # fmt: skip
    categories = _category_of_type()[types]
    styles, vectors = _hidden_vectors(rng, types, categories, themes, qualities)
    return Catalogue(
        frame=frame,
        vectors=vectors,
        styles=styles,
        types=types,
        categories=categories,
        consumable=np.array([category.consumable for category in CATEGORIES])[categories],
        popularity=rng.normal(0.0, 0.5, n_items),
        follows=(follows := _follows()),
        partners=_partners(rng, follows[types][:, types]),
    )


def _count_types() -> int:
    return sum(len(category.goods) for category in CATEGORIES)


def _category_of_type() -> np.ndarray:
    """[T] the category of each type."""
    return np.repeat(np.arange(len(CATEGORIES)), [len(category.goods) for category in CATEGORIES])


def _choose_words(rng: np.random.Generator, types: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A pair (theme, quality) for each item, never the same one twice in a type."""
    n_qualities = min(len(category.qualities) for category in CATEGORIES)
    pairs = len(THEMES) * n_qualities
    if len(types) > pairs * _count_types():
        raise ValueError(
            f"{len(types)} items asked for, but the words make {pairs * _count_types()} titles;"
            " ask for fewer items or add words to shop_words.py"
        )
    chosen = np.empty(len(types), dtype=int)
    for type_ in np.unique(types):
        members = np.flatnonzero(types == type_)
        chosen[members] = rng.permutation(pairs)[: len(members)]
    return chosen // n_qualities, chosen % n_qualities


def _describe(
    rng: np.random.Generator, index: int, type_: int, theme: int, quality: int
) -> dict[str, object]:
    """One row of the catalogue, in both languages."""
    category = CATEGORIES[_category_of_type()[type_]]
    first_of_category = np.flatnonzero(_category_of_type() == _category_of_type()[type_])[0]
    good, good_zh, usual_price = category.goods[type_ - first_of_category]
    (theme_en, theme_zh), (quality_en, quality_zh) = THEMES[theme], category.qualities[quality]
    brand = category.brands[rng.integers(len(category.brands))]
    return {
        "item_id": f"i{index:04d}",
        "title": f"{theme_zh}{quality_zh}{good_zh} {theme_en} {quality_en} {good}",
        "category": f"{category.word[1]} {category.word[0]}",
        "brand": brand,
        "description": (
            f"{brand} 出品的{quality_zh}{good_zh}，{theme_zh}风格。"
            f" {quality_en} {good.lower()} by {brand}, {theme_en.lower()} style."
        ),
        "price": round(usual_price * float(rng.lognormal(0.0, 0.25)), 2),
    }


def _hidden_vectors(
    rng: np.random.Generator,
    types: np.ndarray,
    categories: np.ndarray,
    themes: np.ndarray,
    qualities: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Styles and vectors [I, D]: sums over the words of a title, each word a random direction."""

    def directions(*shape: int) -> np.ndarray:
        return _unit(rng.normal(size=(*shape, DIMENSIONS)))

    of_theme, of_category, of_type = (
        directions(len(THEMES)),
        directions(len(CATEGORIES)),
        directions(_count_types()),
    )
    of_quality = directions(len(CATEGORIES), int(qualities.max()) + 1)
    styles = _unit(of_theme[themes] + 0.5 * of_quality[categories, qualities])
    goods = 0.7 * of_category[categories] + 0.5 * of_type[types]
    return styles, _unit(styles + goods + 0.3 * directions(len(types)))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _follows() -> np.ndarray:
    """[T, T] the hidden structure of what is wanted next; the first follower the most."""
    names = [good for category in CATEGORIES for good, _, _ in category.goods]
    follows = np.zeros((len(names), len(names)))
    for name, followers in FOLLOWERS.items():
        for place, follower in enumerate(followers):
            follows[names.index(name), names.index(follower)] = 0.85**place
    return follows


def _partners(rng: np.random.Generator, wanted: np.ndarray) -> np.ndarray:
    """[I, I] a few particular partners an item, among the items of the types that follow it."""
    order = np.argsort(rng.random(wanted.shape) - (wanted > 0), axis=1)
    partners = np.zeros_like(wanted)
    np.put_along_axis(partners, order[:, :PARTNERS], 1.0, axis=1)
    return partners * (wanted > 0)
