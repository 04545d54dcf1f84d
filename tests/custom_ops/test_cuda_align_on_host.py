"""RoIAlign's CUDA kernels, played on the host as in test_cuda_on_host.py."""

import shutil

import numpy as np
import pytest

from keras_frcnn.custom_ops.align_cases import AlignCase, all_cases, random_cases, same
from keras_frcnn.custom_ops.align_reference import (
    roi_align_grad_reference,
    roi_align_reference,
)
from keras_frcnn.custom_ops.cases import DTYPES, random_features, rows
from keras_frcnn.custom_ops.cuda_align import PLACED, align, align_gradient, place
from tests.custom_ops.cuda_on_host import HostMemory, host_kernels

if not shutil.which("c++"):
    pytest.skip("there is no C++ compiler", allow_module_level=True)

UNALIGNED = 8  # bytes: to 16-byte accesses, not to elements
MODES = [(0, True), (0, False), (1, True), (2, False), (3, True)]
# More samples than are looked at one by one; the last two are turned around.
MANY = AlignCase(
    "many samples",
    [random_features((1, 9, 12, 8))],
    rows(
        *([0, -40, -35, 60, 50], [0, 3, 3, 30, 4], [0, 2.5, 2.5, 2.5, 7]),
        *([0, 10.2, 3, -4, 8], [0, 13, 11, -2, -3]),
    ),
    (2, 3),
)


def check(case, ratio, aligned, shift=0):
    kernels = host_kernels()
    grid = case.scales, ratio, aligned
    arguments = case.rois, case.levels, *case.size, *grid
    output = roi_align_reference(case.maps, *arguments)
    assert same(align(kernels, HostMemory(shift), case.maps, *arguments), output), case.name
    grads = random_features(output.shape, seed=3).astype(output.dtype)
    arguments = grads, case.rois, case.levels, [m.shape for m in case.maps], *grid
    expected = roi_align_grad_reference(*arguments)
    ordered = align_gradient(kernels, HostMemory(shift), *arguments, deterministic=True)
    atomic = align_gradient(kernels, HostMemory(shift), *arguments, deterministic=False)
    for right, found, near in zip(expected, ordered, atomic, strict=True):
        assert same(found, right), case.name
        # Half types: another order may round a float32 sum to the neighbouring half.
        tolerance = {2: 2e-2, 4: 1e-4, 8: 1e-12}[right.itemsize]
        wide = np.asarray(near, np.float64), np.asarray(right, np.float64)
        np.testing.assert_allclose(*wide, tolerance, tolerance, err_msg=case.name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_case(dtype):
    cases = [*all_cases(), *random_cases(12, seed=5)]
    for number, case in enumerate(cases):
        ratio, aligned = MODES[number % len(MODES)]
        check(case.with_dtype(dtype), ratio, aligned, UNALIGNED if number % 2 else 0)


@pytest.mark.parametrize("ratio, aligned", [(0, True), (0, False), (9, True), (12, False)])
def test_more_samples_than_are_looked_at_one_by_one(ratio, aligned):
    check(MANY, ratio, aligned)


@pytest.mark.parametrize("ratio, aligned", MODES)
def test_malformed_rois_in_every_mode(ratio, aligned):
    names = {"outside", "halves and rims", "huge", "no size", "inverted", "not a number"}
    for case in all_cases():
        if case.name in names:
            check(case, ratio, aligned)


def test_threads_go_around_the_grid():
    kernels = host_kernels()
    kernels.library.LimitBlocks(2)
    try:
        check(all_cases()[-1], 2, True)
    finally:
        kernels.library.LimitBlocks(2**62)


def test_more_bins_than_a_warp_tests_at_once():
    case = AlignCase("a large grid", [random_features((1, 6, 7, 3))], rows([0, 0, 0, 7, 6]))
    case.size = 35, 34
    check(case, 0, True)


@pytest.mark.parametrize(
    "row, message",
    [
        ([-1, 0, 0, 1, 1], "batch index"),
        ([2, 0, 0, 1, 1], "batch index"),
        ([np.nan, 0, 0, 1, 1], "batch index"),
        ([0, np.nan, 0, 1, 1], "finite"),
        ([0, 0, 0, np.inf, 1], "finite"),
        ([0, 0, 0, 1e9, 1], "samples"),
    ],
)
@pytest.mark.parametrize("aligned", [True, False])
def test_rows_that_cannot_be_used(row, message, aligned):
    rois = np.zeros((5, 5), np.float32)
    rois[3] = row
    maps, levels = [np.zeros((2, 4, 4, 1), np.float32)], np.zeros(5)
    with pytest.raises(ValueError, match=f"rois row 3 .*{message}"):
        align(host_kernels(), HostMemory(), maps, rois, levels, 2, 2, [4.0], 0, aligned)


def test_a_placed_roi():
    placed = place(
        host_kernels(), rows([0, 9, 9, 9, 9], [1.9, 2, 4, 8, 9]), [1], (5, 2), 1, 0, 1, 2
    )
    assert PLACED.itemsize == 36
    assert placed.tolist() == [(1, 0, 1, (3.5, 1, 1), (1.5, 3, 3))]
