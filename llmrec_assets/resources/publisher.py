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
from llmrec_assets.resources.people import People

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

    def publish(self, partial: Path) -> Path:
        """Make a partial file the published one; readers see the old lists or the new.

        Where the store knows users by pseudonyms, the published file has their ids again.

        Returns:
            Where the lists as the store knows them are now.
        """
        people, clear = People.of(self.layout), partial
        if people is not None:
            clear = partial.with_name(f"{partial.name}.clear")
            _name(partial, clear, people)
        with clear.open("rb") as file:
            os.fsync(file.fileno())
        clear.replace(self.recommendations)
        return self.recommendations if people is None else partial

    def keep(self, lists: Path) -> None:
        """Remove what `publish` returned, unless it is the published file."""
        if lists != self.recommendations:
            lists.unlink()


def _name(partial: Path, clear: Path, people: People) -> None:
    """Write lists with ids in place of pseudonyms; one that nobody knows stays."""
    with (
        pq.ParquetFile(partial) as source,
        pq.ParquetWriter(clear, SCHEMA, compression="zstd") as writer,
    ):
        for group in range(source.num_row_groups):
            table = source.read_row_group(group)
            named = table["user_id"].combine_chunks().dictionary_encode()
            known = named.dictionary.to_pylist()
            ids = people.ids(known)
            users = pa.array([ids.get(name, name) for name in known], pa.string())
            place = table.schema.get_field_index("user_id")
            column = pa.DictionaryArray.from_arrays(named.indices, users).cast(pa.string())
            writer.write_table(table.set_column(place, SCHEMA.field(place), column))
