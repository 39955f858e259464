"""The behaviour dictionary of one data root."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from llmrec_assets.core.behaviors import Behavior, load_behaviors


class BehaviorDictionary(dg.ConfigurableResource):
    """The built-in behaviours, with those of the root's own `behaviors.json` over them."""

    path: str = Field(description="A JSON file of behaviours; may be missing.")

    def load(self) -> dict[str, Behavior]:
        """Name → behaviour.

        Raises:
            BehaviorDictionaryError: the file is not a valid dictionary; it names the entry.
        """
        path = Path(self.path)
        return load_behaviors(path.read_text(encoding="utf-8") if path.is_file() else None)
