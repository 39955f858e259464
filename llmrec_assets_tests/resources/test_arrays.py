import resource
from pathlib import Path

import numpy as np
import pytest

from llmrec_assets.resources import arrays as arrays_module
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.checksums import DamagedFile


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
    with pytest.raises(FileNotFoundError, match=r"gone\.npy is missing → .*refresh_lists"):
        arrays.open("gone.npy")


def test_keep_only_removes_the_others_of_its_folder(arrays):
    for name in ("f/a.npy", "f/b.npy", "g/a.npy"):
        arrays.write(name, np.zeros(1))
    arrays.keep_only("f", {"f/a.npy"})
    left = {str(path.relative_to(arrays.root)) for path in Path(arrays.root).rglob("*.npy")}
    assert left == {"f/a.npy", "g/a.npy"}


@pytest.mark.parametrize("place", [3, 90, 200, -45, -3])  # header, numbers, seal
def test_a_byte_that_changed_is_found_before_the_array_is_used(arrays, place):
    path = Path(arrays.root) / arrays.write("a.npy", np.arange(100.0))
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)
    assert not arrays.exists("a.npy")
    assert arrays.damaged() == [path]
    with pytest.raises(DamagedFile, match=r"a\.npy has changed .* → .*refresh_lists"):
        arrays.open("a.npy")
    arrays.write("a.npy", np.arange(100.0))
    assert arrays.open("a.npy").sum() == 4950


@pytest.mark.parametrize("size", [0, 5, 100, 200])
def test_a_cut_array_is_found(arrays, size):
    path = Path(arrays.root) / arrays.write("a.npy", np.arange(100.0))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DamagedFile):
        arrays.open("a.npy")


def test_an_array_of_before_there_were_seals_is_read_and_judged_by_its_length(arrays):
    path = Path(arrays.root) / "old.npy"
    path.parent.mkdir()
    np.save(path, np.arange(5))
    assert arrays.open("old.npy").sum() == 10
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedFile):
        arrays.open("old.npy")


def test_a_damaged_derived_array_is_derived_anew(arrays):
    def double(rows):
        return rows * 2

    path = Path(arrays.root) / "b.npy"
    arrays.write("a.npy", np.arange(100.0))
    assert arrays.derive("b.npy", arrays.open("a.npy"), double).sum() == 9900
    path.write_bytes(path.read_bytes()[:-50] + b"\1" * 50)
    assert arrays.derive("b.npy", arrays.open("a.npy"), double).sum() == 9900
    assert arrays.damaged() == []


def test_a_large_scratch_array_lies_in_a_file_without_a_name(arrays, monkeypatch):
    monkeypatch.setattr(arrays_module, "_IN_MEMORY", 100)
    small, large = arrays.scratch((10,), np.float64), arrays.scratch((10, 2), np.float64)
    assert not isinstance(small, np.memmap)
    assert isinstance(large, np.memmap)
    large[:] = 7
    assert large[:, 1].sum() == 70
    assert list(Path(arrays.root).iterdir()) == []
    assert arrays.scratch((0, 3), np.int8).shape == (0, 3)


def test_a_disk_without_room_is_told_before_anything_is_written(arrays, monkeypatch):
    monkeypatch.setattr(arrays_module, "_IN_MEMORY", 100)
    source = np.zeros((1000, 4))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))  # a map knows no such limit
    try:
        with pytest.raises(OSError, match="too large"):
            arrays.scratch((1000, 4), np.float64)
        with pytest.raises(OSError, match="too large"):
            arrays.derive("a.npy", source, np.asarray)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not arrays.exists("a.npy")
    assert arrays.derive("a.npy", source, np.asarray).shape == source.shape
