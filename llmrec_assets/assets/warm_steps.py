"""Where a training of stage 5 starts from: nothing, or the weights of the champion.

Imports torch: assets import this module in their bodies only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from llmrec_assets.assets.model_inputs import Inputs
from llmrec_assets.assets.scoring_steps import incomparable, network_of
from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.networks.model import NextItemModel
from llmrec_assets.core.warm_start import CannotContinue, require_same, shortened
from llmrec_assets.resources.model_package import ModelPackage
from llmrec_assets.resources.registry import CHAMPION, Registry


@dataclass(frozen=True)
class Start:
    """The schedule of a training and, for each of its two fits, the weights to go on from."""

    config: ModelConfig
    fresh_through: int  # newest event of the fresh start that it goes back to
    version: str = ""  # whose weights; empty for a fresh start
    evaluation: NextItemModel | None = None
    final: NextItemModel | None = None


def champion(
    registry: Registry, start: Literal["fresh", "champion"], say: Callable[[str], None]
) -> ModelPackage | None:
    """The package to start from; None for a fresh start, also where no model serves."""
    if start == "fresh":
        return None
    version = registry.alias(CHAMPION)
    if version is None:
        say("a fresh start instead of a warm one: no model serves")
        return None
    return registry.load(version)


def start_of(champion: ModelPackage | None, inputs: Inputs, config: ModelConfig) -> Start:
    """From nothing, or from a champion that reads what this training reads.

    The fit that is judged goes on from weights that never saw what the champion was judged on.

    Raises:
        CannotContinue: the champion has another network, objective, encoder or scaling.
    """
    if champion is None:
        return Start(config, inputs.final.through)
    info = champion.info
    require_same(ModelConfig(**info.config), config)
    if unread := incomparable(champion, inputs):
        raise CannotContinue(unread)
    if info.scaling != inputs.scaling:
        raise CannotContinue(f"rating and value were scaled by {info.scaling}")
    return Start(
        shortened(config),
        info.fresh_through,
        info.version,
        network_of(champion, "evaluation", inputs.data["evaluation"]),
        network_of(champion, "final", inputs.final),
    )
