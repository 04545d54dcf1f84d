import pytest


@pytest.fixture(scope="session", autouse=True)
def target_cache_of_the_tests(tmp_path_factory):
    """Statistics of test data do not belong into the user's cache folder."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras_frcnn.target_cache.cache_dir", lambda: folder)
        yield
