from pathlib import Path

import numpy as np
import pytest

from llmrec_assets.resources.arrays import Arrays


@pytest.fixture
def arrays(tmp_path: Path) -> Arrays:
    return Arrays(root=str(tmp_path / "arrays"))


def test_what_is_written_is_read_back_memory_mapped(arrays):
    array = np.arange(6, dtype=np.float32).reshape(3, 2)
    name = arrays.write("folder/a.npy", array)
    read = arrays.open(name)
    assert isinstance(read, np.memmap)
    assert not read.flags.writeable
    np.testing.assert_array_equal(read, array)


def test_an_empty_array_keeps_its_shape(arrays):
    assert arrays.open(arrays.write("e.npy", np.zeros((0, 512), np.float32))).shape == (0, 512)


def test_a_reader_keeps_the_array_it_opened(arrays):
    arrays.write("a.npy", np.zeros(3))
    before = arrays.open("a.npy")
    arrays.write("a.npy", np.ones(3))
    assert before.sum() == 0
    assert arrays.open("a.npy").sum() == 3


def test_a_write_that_fails_leaves_the_old_file(arrays, monkeypatch):
    arrays.write("a.npy", np.zeros(3))

    def full_disk(file, *_args, **_kwargs):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "save", full_disk)
    with pytest.raises(OSError, match="No space"):
        arrays.write("a.npy", np.ones(3))
    assert arrays.open("a.npy").sum() == 0


def test_objects_are_refused(arrays):
    with pytest.raises(ValueError, match="allow_pickle"):
        arrays.write("a.npy", np.array([{}], dtype=object))


def test_a_missing_file_names_the_asset_that_writes_it(arrays):
    with pytest.raises(FileNotFoundError, match=r"gone\.npy is missing: materialise text_features"):
        arrays.open("gone.npy")


def test_keep_only_removes_the_others_of_its_folder(arrays):
    for name in ("f/a.npy", "f/b.npy", "g/a.npy"):
        arrays.write(name, np.zeros(1))
    arrays.keep_only("f", {"f/a.npy"})
    left = {str(path.relative_to(arrays.root)) for path in Path(arrays.root).rglob("*.npy")}
    assert left == {"f/a.npy", "g/a.npy"}
