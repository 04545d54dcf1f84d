import pytest

from keras_frcnn.bulk import storage
from keras_frcnn.errors import InputError


def test_files_are_written_whole_and_in_place_of_others(tmp_path):
    folder = str(tmp_path / "new folder")
    assert storage.names(folder) == set()
    storage.make_folder(folder)
    path = storage.join(folder, "a.gz")  # which nobody is to unpack
    for content in (b"first", b"second"):
        storage.write(path, content)
        assert storage.read(path) == content
    assert storage.names(folder) == {"a.gz"}
    storage.remove(path)
    storage.remove(path)
    assert storage.names(folder) == set()


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = storage.join(str(tmp_path), "a")
    storage.write(path, b"first")

    def fail(*_):
        raise OSError("no rename")

    with monkeypatch.context() as patch:
        patch.setattr(storage.FileSystems, "rename", fail)
        with pytest.raises(OSError, match="no rename"):
            storage.write(path, b"second")
    assert storage.read(path) == b"first"
    assert storage.names(str(tmp_path)) == {"a"}  # what is not finished does not count
    assert len(list(tmp_path.iterdir())) == 2
    storage.clear_partial(str(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_patterns_stay_in_a_folder_or_go_through_all(photos):
    root = storage.join(str(photos), "")
    direct = {p.rsplit("/")[-1] for p in storage.matching(f"{root}*.jpg")}
    assert {"a.jpg", "b c.jpg"} <= direct
    assert "żółw.jpg" not in direct
    assert {p.rsplit("/")[-1] for p in storage.matching(f"{root}**/*.jpg")} >= {"żółw.jpg"}


@pytest.mark.parametrize("function", [storage.matching, storage.make_folder])
def test_an_unknown_file_system_is_an_error_of_one_line(function):
    with pytest.raises(InputError, match=r"nonsense://x") as error:
        function("nonsense://x/y")
    assert "\n" not in str(error.value)


def test_folders_that_are_patterns_to_beam_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"\[ in the name of a folder"):
        storage.names(str(tmp_path / "photos [1]"))
