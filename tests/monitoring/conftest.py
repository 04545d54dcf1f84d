import pytest

from tests.tiny import add_trunk, tiny_dataset


@pytest.fixture
def trunk(monkeypatch):
    add_trunk(monkeypatch)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tiny_dataset(tmp_path_factory.mktemp("rectangles"))
