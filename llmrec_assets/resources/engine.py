"""Where the work that can be divided is done: in this process, or by Ray's workers.

Nothing else knows which of the two it is, and both give the same tables.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeVar

import dagster as dg
from pydantic import Field

from llmrec_assets.core.parallel import here
from llmrec_assets.resources.owned_folders import owned_folder, remove_left

X = TypeVar("X")
Y = TypeVar("Y")

Kind = Literal["local", "ray"]


class Engine(dg.ConfigurableResource):
    """Runs pure functions: on jobs one by one, or by workers that made something first."""

    kind: Kind = Field(
        default="local", description="local: in this process. ray: by workers, also elsewhere."
    )
    shards: int = Field(
        default=1, description="Parts of the users, and most workers at a time.", ge=1
    )
    address: str = Field(
        default="", description="Of a Ray cluster; empty: one of this machine is started."
    )
    folder: str = Field(
        default="", description="For files that tasks exchange; every machine of a cluster sees it."
    )

    @property
    def is_local(self) -> bool:
        """Whether all is done in this process."""
        return self.kind == "local"

    def run_tasks(self, function: Callable[[X], Y], jobs: Sequence[X]) -> list[Y]:
        """What `function` makes of each job, in order.

        Raises:
            WorkersLost: workers died again and again.
        """
        if self.is_local:
            return [function(job) for job in jobs]
        from llmrec_assets.resources.ray_cluster import run_tasks

        return run_tasks(self.address, function, jobs)

    def map_made(self, make: Callable[[], Callable[[X], Y]], items: Sequence[X]) -> Iterator[Y]:
        """What the function that `make` returns makes of each item, in order; once a worker.

        Raises:
            WorkersLost: workers died again and again.
        """
        if self.is_local:
            return here(make, items)
        from llmrec_assets.resources.ray_cluster import map_made

        return map_made(self.address, self.shards, make, items)

    def run_together(
        self, function: Callable[[Callable[[X], None]], Y], hear: Callable[[X], None]
    ) -> Y:
        """What `function` returns; workers run it together, joined by torch.distributed.

        It gets what to call with something to tell, which `hear` then hears.

        Raises:
            WorkersLost: workers died again and again.
        """
        if self.is_local:
            return function(hear)
        from llmrec_assets.resources.ray_together import run_together

        with self.work_folder() as folder:
            return run_together(self.address, self.shards, folder, function, hear)

    @contextmanager
    def work_folder(self) -> Iterator[Path]:
        """A new folder for files that tasks exchange; nothing of it stays."""
        with owned_folder(Path(self.folder)) as folder:
            yield folder

    def remove_left(self) -> None:
        """Remove what killed runs left behind, by whatever engine."""
        if self.folder:
            remove_left(Path(self.folder))
