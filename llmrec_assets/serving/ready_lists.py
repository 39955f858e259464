"""Lists that were made of late, and how users ask: a list can be ready before it is asked for.

The id of a list is a hash of all that it is made of, so two lists of one id are the same. Used by
one thread only.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from llmrec_assets.serving.model import Slots
from llmrec_assets.serving.schemas import ListOptions

T = TypeVar("T")


class ReadyLists:
    """The newest ranked lists by id, and what users of late asked for."""

    def __init__(self, most: int = 5_000) -> None:
        """Of more lists, or more users, those of longest ago are forgotten."""
        self.most = most
        self._made: OrderedDict[str, Slots] = OrderedDict()
        self._making: dict[str, asyncio.Future[Slots | None]] = {}
        self._asked: OrderedDict[str, ListOptions] = OrderedDict()

    def __contains__(self, list_id: str) -> bool:
        """Whether the list is there, or on its way."""
        return list_id in self._made or list_id in self._making

    def get(
        self, list_id: str, make: Callable[[], "asyncio.Future[Slots | None]"]
    ) -> "asyncio.Future[Slots | None]":
        """The list, made by `make` where it is neither there nor on its way; None if that fails.

        Whoever waits for it must not cancel it: others may wait too.
        """
        if (made := self._made.get(list_id)) is not None:
            self._made.move_to_end(list_id)
            found: asyncio.Future[Slots | None] = asyncio.get_running_loop().create_future()
            found.set_result(made)
            return found
        if list_id not in self._making:
            self._making[list_id] = make()
            self._making[list_id].add_done_callback(lambda made: self._keep(list_id, made))
        return self._making[list_id]

    def asked(self, user: str, options: ListOptions) -> None:
        """Remember what a user asks for."""
        _remember(self._asked, user, options, self.most)

    def options_of(self, user: str) -> ListOptions | None:
        """What the user asked for the last time; None where that is long ago."""
        return self._asked.get(user)

    def clear(self) -> None:
        """Forget everything: another package serves."""
        self._made.clear()
        self._making.clear()
        self._asked.clear()

    def _keep(self, list_id: str, made: "asyncio.Future[Slots | None]") -> None:
        if self._making.get(list_id) is not made:
            return  # of the package before
        del self._making[list_id]
        if not made.cancelled() and (slots := made.result()) is not None:
            _remember(self._made, list_id, slots, self.most)


def _remember(kept: OrderedDict[str, T], key: str, value: T, most: int) -> None:
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > most:
        kept.popitem(last=False)
