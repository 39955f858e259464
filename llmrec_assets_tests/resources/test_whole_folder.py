import pytest

from llmrec_assets.resources.whole_folder import make_folder_once


def write(folder):
    (folder / "deep").mkdir()
    (folder / "deep" / "weights").write_bytes(b"1" * 5000)


def forbidden(_folder):
    raise AssertionError("made again")


def test_a_folder_is_made_once(tmp_path):
    folder = make_folder_once(tmp_path / "a" / "model", write)
    assert folder == tmp_path / "a" / "model"
    assert (folder / "deep" / "weights").read_bytes() == b"1" * 5000
    assert make_folder_once(folder, forbidden) == folder


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "deep" / "weights").write_bytes(b"2" * 5000),
        lambda folder: (folder / "deep" / "weights").unlink(),
        lambda folder: (folder / "more").touch(),
        lambda folder: (folder / "sha256.json").unlink(),
    ],
    ids=["changed", "lost", "added", "unnoted"],
)
def test_a_damaged_folder_is_made_again(tmp_path, damage):
    folder = make_folder_once(tmp_path / "model", write)
    damage(folder)
    make_folder_once(folder, write)
    assert sorted(path.name for path in folder.rglob("*")) == ["deep", "sha256.json", "weights"]
    assert (folder / "deep" / "weights").read_bytes() == b"1" * 5000


def test_what_fails_leaves_nothing_and_what_was_killed_is_cleared(tmp_path):
    def failing(folder):
        write(folder)
        raise ValueError("no disk")

    with pytest.raises(ValueError, match="no disk"):
        make_folder_once(tmp_path / "model", failing)
    assert [path.name for path in tmp_path.iterdir()] == [".model.lock"]
    (tmp_path / ".model.new").mkdir()
    (tmp_path / ".model.new" / "half").touch()
    make_folder_once(tmp_path / "model", write)
    assert {path.name for path in tmp_path.iterdir()} == {".model.lock", "model"}
