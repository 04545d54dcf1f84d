"""That the benchmark of bulk work searches the same images by all programs."""

import re

import pytest

from keras_frcnn.benchmarks.bulk import measure
from keras_frcnn.errors import InputError
from tests.bulk.conftest import needs_processes
from tests.data.voc_files import photograph


@pytest.mark.slow
@needs_processes
def test_all_programs_are_measured(tmp_path):
    photographs, folder = tmp_path / "photographs", tmp_path / "work"
    photographs.mkdir()
    folder.mkdir()
    for i in range(2):
        photograph(seed=i).save(photographs / f"{i}.jpg")
    text = measure(photographs, folder, 2, 60, 1)
    assert text.startswith("2 photographs of 60 pixels, 2 workers")
    rows = re.findall(r"^\| (\S.*?) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", text, re.M)
    assert [name for name, *_ in rows] == ["own pool", "multi_threading", "multi_processing"]
    assert all(float(seconds) > 0 for _, cpu, _, wall in rows for seconds in (cpu, wall))
    assert rows[0][2] == "1.00"
    with pytest.raises(InputError, match="has 2 images, not 3"):
        measure(photographs, tmp_path, 3, 60, 1)
