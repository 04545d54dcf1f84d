"""That RoIAlign's benchmark compares before it measures."""

import dataclasses

import pytest

from keras_frcnn.benchmarks import roi_align
from keras_frcnn.custom_ops.compiler import NoCompilerError, find_compiler

try:
    find_compiler()
except NoCompilerError as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.mark.parametrize("name", roi_align.WORKLOADS)
def test_small_workloads(name):
    workload = dataclasses.replace(roi_align.WORKLOADS[name], channels=9, rois=20)
    times = roi_align.measure(workload, 1, 2)
    assert len(times) == 5 and min(times) > 0
    _, rois, levels = workload.inputs()
    assert len(rois) == 20 and set(levels) <= set(range(len(workload.cells)))


def test_another_function_is_not_timed(monkeypatch):
    workload = dataclasses.replace(list(roi_align.WORKLOADS.values())[1], channels=3, rois=5)
    session = roi_align.session
    monkeypatch.setattr(roi_align, "session", lambda w, scale, t: session(w, scale * 1.01, t))
    with pytest.raises(RuntimeError, match="do not compute the same"):
        roi_align.measure(workload, 1, 1)
