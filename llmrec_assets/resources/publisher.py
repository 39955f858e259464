"""What the outside may read: files in the serving folder, each replaced atomically."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from llmrec_assets.layout import Layout

SCHEMA = pa.schema(
    [
        ("list_id", pa.string()),
        ("user_id", pa.string()),
        ("rank", pa.int32()),
        ("item_id", pa.string()),
        ("score", pa.float64()),
        ("probability", pa.float64()),
        ("propensity", pa.float64()),
        ("source", pa.string()),
        ("model_version", pa.string()),
        ("generated_at", pa.timestamp("us")),
    ]
)


class Publisher(dg.ConfigurableResource):
    """The published files of one data root."""

    root: str = Field(description="The data root.")

    @property
    def layout(self) -> Layout:
        """Of the data root."""
        return Layout(Path(self.root))

    @property
    def recommendations(self) -> Path:
        """The published lists."""
        return self.layout.recommendations

    @property
    def items(self) -> Path:
        """The published titles."""
        return self.layout.published_items

    @contextmanager
    def partial(self) -> Iterator[tuple[Path, pq.ParquetWriter]]:
        """Yield a hidden file beside the published lists, and its writer."""
        self.recommendations.parent.mkdir(parents=True, exist_ok=True)
        path = self.recommendations.with_name(f".{self.recommendations.name}")
        with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
            yield path, writer

    def publish(self, partial: Path) -> None:
        """Make a partial file the published one; readers see the old lists or the new."""
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(self.recommendations)
