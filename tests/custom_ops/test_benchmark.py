import subprocess
import sys

from keras_frcnn.benchmarks.roi_pool_workload import selective_search_like_rois

SMALL = """
import sys
from keras_frcnn.benchmarks import roi_pool
roi_pool.WORKLOADS = {"small": (2, (96, 128), 3)}
roi_pool.CHANNELS = 8
sys.exit(roi_pool.main(["--out", sys.argv[1], "--rounds", "1", "--threads", "1"]))
"""


def test_prints_and_saves_the_table(tmp_path):
    out = tmp_path / "table.md"
    command = [sys.executable, "-c", SMALL, str(out)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out.read_text() in printed
    rows = [line for line in out.read_text().splitlines() if line.startswith("| small")]
    assert any("ONNX Runtime" in row for row in rows)
    assert [row.split(" | ")[3] for row in rows if "built-in" in row] == ["float32", "bfloat16"]


def test_rois_have_the_sizes_they_claim():
    rois = selective_search_like_rois(2000, 2, 600, 1000)
    assert set(rois[:, 0]) == {0, 1}
    assert (rois[:, 1:3] >= 0).all()
    assert (rois[:, 3] <= 1000).all()
    assert (rois[:, 4] <= 600).all()
    width = rois[:, 3] - rois[:, 1]
    assert 110 < sorted(width)[1000] < 136
    assert abs(width.min() - 32) < 0.01
