"""That whole detections are timed, and stages that together are one."""

import numpy as np
import pytest

from keras_frcnn.benchmarks import faster_rcnn
from keras_frcnn.benchmarks.detect_steps import SUPPRESS, Source
from keras_frcnn.benchmarks.faster_rcnn import FAST, FASTER, OF, STAGES
from keras_frcnn.benchmarks.faster_rcnn_stages import build, load_steps
from keras_frcnn.benchmarks.proposals_steps import DETECTION, SEARCH, Step
from keras_frcnn.benchmarks.roi_pool_workload import selective_search_like_rois
from keras_frcnn.benchmarks.train_workload import photograph

SOURCE = Source(None, "squeezenet", 3, (24, 16), 96, 160)
PRECISIONS = ("float32", "bfloat16")


@pytest.fixture(scope="module")
def images():
    """Half the scaled size, so that scaling must be right as well."""
    rng = np.random.default_rng(0)
    return [photograph(rng, 48, 80) for _ in range(2)]


@pytest.fixture(scope="module")
def proposals():
    return [selective_search_like_rois(n, 1, 96, 160)[:, 1:] / 2 for n in (40, 30)]


@pytest.mark.parametrize("name", [FAST, FASTER])
def test_stages_together_are_a_detection(name, images, proposals):
    given = proposals if name == FAST else None
    detector = build(SOURCE, images[0], given is None)
    # What random weights say is nearly all background, which is not worth comparing.
    detector.score_threshold = 0.01
    kernel = detector.model.get_layer("cls_score").kernel
    kernel.assign(kernel * 30)
    steps = load_steps(detector, images, given, PRECISIONS)
    assert set(steps) == {s for i in (0, 1) for s in faster_rcnn.steps_of(name, i, PRECISIONS)}
    for i, image in enumerate(images):
        found = detector.detect(image, *(given[i : i + 1] if given else ()))
        assert len(found) > 3
        detected = steps[Step(DETECTION, i, "float32")]()
        np.testing.assert_allclose(detected["boxes"], found.boxes, atol=0.1)
        if i == 0:
            (boxes,) = steps[Step(SUPPRESS, 0, "float32")]()["boxes"].numpy()
            np.testing.assert_allclose(boxes[: len(found)], found.boxes, atol=0.1)


def made_up_times():
    """Seconds of two photographs: 1 and 2 of the search, 3 and 1 of the detectors."""
    times = {(SEARCH, Step(SEARCH, i)): 1.0 + i for i in (0, 1)}
    for i in (0, 1):
        for name in (FAST, FASTER):
            for step in faster_rcnn.steps_of(name, i, PRECISIONS):
                seconds = 1.0 if name == FASTER else 3.0
                times[name, step] = seconds if step.what == DETECTION else seconds / len(OF[name])
    return times


def test_tables():
    rows = faster_rcnn.format_ratios(made_up_times(), PRECISIONS).splitlines()
    assert rows[2] == "| float32 | 1500 | 3000 | 4500 | 1000 | 4.50 | 2.0 | 2.3 |"
    assert rows[3] == "| bfloat16 | 1500 | 3000 | 4500 | 1000 | 4.50 | 2.5 | 3.0 |"
    rows = faster_rcnn.format_stages(made_up_times(), PRECISIONS).splitlines()
    assert len(rows) == 3 + len(STAGES)
    cells = [row.strip("| ").split(" | ") for row in rows]
    assert cells[2] == [STAGES[SEARCH], "1000 ms (25.0%)", "", "1000 ms (25.0%)"]
    assert cells[4] == ["trunk", *["600 ms (15.0%)", "143 ms (14.3%)"] * 2]
    assert cells[-1] == ["total", *["4000 ms", "1000 ms"] * 2]


def test_command(monkeypatch, tmp_path):
    def measure(source, images, precisions, threads, rounds):
        assert source == Source() and len(images) == 8 and rounds == 2
        return made_up_times(), {FAST: 2000.0, FASTER: 300.0}

    monkeypatch.setattr(faster_rcnn, "measure", measure)
    out = tmp_path / "out.md"
    assert faster_rcnn.main(["--rounds", "2", "--precision", "float32", "--out", str(out)]) == 0
    text = out.read_text()
    assert "2000 proposals of selective search, 300 of the network" in text
    assert "| float32 |" in text and "| bfloat16 |" not in text


@pytest.mark.slow
def test_whole_benchmark(images):
    times, found = faster_rcnn.measure(SOURCE, images, PRECISIONS, 2, 1)
    assert len(times) == 2 + 2 * len(PRECISIONS) * 2 + 2 * sum(map(len, OF.values()))
    assert all(seconds > 0 for seconds in times.values())
    assert 0 < found[FASTER] <= 300 and found[FAST] > 0
