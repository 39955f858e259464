"""What a template sees of an item: its texts, price and attributes, and what it does not have."""

import json
import math
from collections.abc import Mapping
from typing import Any

from jinja2 import Undefined

TEXTS = ("title", "brand", "category", "description")


class Missing(Undefined):
    """A value that an item does not have: false, printed as nothing, and equal to none."""

    __slots__ = ()

    def __init__(self, name: str) -> None:
        super().__init__(hint=f"{name} is missing for some items; ask for it with if first")

    def __eq__(self, other: object) -> bool:
        """Whether the other is missing too, or none."""
        return other is None or isinstance(other, Missing)

    __hash__ = Undefined.__hash__

    def __getitem__(self, part: object) -> "Missing":
        """Nothing of nothing, where a part of a text is asked for."""
        if isinstance(part, slice):
            return self
        return self._fail_with_undefined_error()


class Attributes(dict[str, Any]):
    """The attributes of an item; one that it does not have is missing, not an error."""

    def __missing__(self, name: object) -> Missing:
        """The value of an unknown name."""
        return Missing(f"attributes.{name}")


def variables_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the template sees of an item. A whole price has no decimals."""
    price = row.get("price")
    if price is not None and math.isfinite(price) and price == int(price):
        price = int(price)
    attributes = json.loads(row.get("attributes") or "{}", object_hook=_known)
    values = {name: row.get(name) for name in ("item_id", *TEXTS)} | {"price": price}
    return {
        **{name: Missing(name) if value is None else value for name, value in values.items()},
        "attributes": attributes if isinstance(attributes, dict) else Attributes(),
    }


def _known(values: dict[str, Any]) -> Attributes:
    return Attributes({name: value for name, value in values.items() if value is not None})
