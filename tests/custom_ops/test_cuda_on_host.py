"""The CUDA kernels' code for one thread, played on the host over all threads of every launch."""

import shutil

import numpy as np
import pytest

from keras_frcnn.custom_ops.cases import (
    DTYPES,
    all_cases,
    random_cases,
    random_features,
    random_rois,
    same_bits,
)
from keras_frcnn.custom_ops.cuda_kernels import CudaError, Shape, gradient, pool
from keras_frcnn.custom_ops.reference import roi_pool_grad_reference, roi_pool_reference
from tests.custom_ops.cuda_on_host import HostMemory, host_kernels
from tests.custom_ops.roi_pool_tester import RoIPoolTester

if not shutil.which("c++"):
    pytest.skip("there is no C++ compiler", allow_module_level=True)

UNALIGNED = 8  # bytes: to 16-byte accesses, not to elements


@pytest.fixture
def few_blocks():
    """Launches of two blocks, whose threads have to go around the grid."""
    kernels = host_kernels()
    kernels.library.LimitBlocks(2)
    yield
    kernels.library.LimitBlocks(2**62)


class CudaOnHostTester(RoIPoolTester):
    error = ValueError
    shift = 0
    deterministic = True

    def pool(self, *arguments):
        output, argmax = pool(host_kernels(), HostMemory(self.shift), *arguments)
        alone, _ = pool(host_kernels(), HostMemory(self.shift), *arguments, with_argmax=False)
        assert same_bits(output, alone)
        return output, argmax

    def gradient(self, features, *rest):
        rois, *sizes, grad_output = rest
        _, argmax = roi_pool_reference(features, rois, *sizes)
        memory = HostMemory(self.shift)
        return gradient(
            host_kernels(), memory, grad_output, argmax, rois, features.shape, self.deterministic
        )


class TestOrderedGradient(CudaOnHostTester):
    pass


@pytest.mark.usefixtures("few_blocks")
class TestAtomicGradientOneElementAtATime(CudaOnHostTester):
    shift = UNALIGNED
    deterministic = False


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_case(dtype):
    kernels = host_kernels()
    for case in all_cases() + random_cases(30):
        case = case.with_dtype(dtype)
        output, argmax = roi_pool_reference(case.features, *case.arguments)
        for shift in (0, UNALIGNED):
            found, positions = pool(kernels, HostMemory(shift), case.features, *case.arguments)
            assert same_bits(found, output), case.name
            assert same_bits(positions, argmax), case.name
        grad_output = np.random.default_rng(0).normal(size=output.shape).astype(output.dtype)
        arguments = grad_output, argmax, case.rois, case.features.shape
        expected = roi_pool_grad_reference(*arguments)
        for shift in (0, UNALIGNED):
            ordered = gradient(kernels, HostMemory(shift), *arguments, deterministic=True)
            assert same_bits(ordered, expected), case.name
        # Half types: another order may round a float32 sum to the neighbouring half.
        tolerance = {2: 2e-2, 4: 1e-4, 8: 1e-12}[expected.itemsize]
        atomic = gradient(kernels, HostMemory(), *arguments, deterministic=False)
        np.testing.assert_allclose(
            atomic.astype(float), expected.astype(float), tolerance, tolerance, err_msg=case.name
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [3, 8])
@pytest.mark.parametrize("limit", [1, 2**62])
def test_grids_side_by_side(dtype, channels, limit):
    # As in a pyramid: every grid goes to its place in one output.
    kernels, memory = host_kernels(), HostMemory()
    features = random_features((2, 9, 11, channels)).astype(DTYPES[dtype])
    rois = random_rois(5, 2, 144, 176)
    grids = [(1, 1), (2, 3), (6, 6)]
    bins_of_all = sum(height * width for height, width in grids)
    size = 5, bins_of_all, channels
    features_at, rois_at = (memory.address(memory.put(x)) for x in (features, rois))
    output, argmax = (memory.empty(int(np.prod(size)) * n) for n in (features.itemsize, 4))
    kernels.library.LimitBlocks(limit)
    expected, expected_argmax, first = [], [], 0
    for height, width in grids:
        shape = Shape(*features.shape, 5, height, width)
        bins = memory.address(memory.empty(5 * 4 * (1 + 2 * (height + width))))
        kernels.bins(shape, rois_at, 1 / 16, bins, 0)
        output_at = memory.address(output) + first * channels * features.itemsize
        argmax_at = memory.address(argmax) + first * channels * 4
        stride = bins_of_all * channels
        kernels.pool(dtype, shape, features_at, bins, output_at, argmax_at, stride)
        pooled = roi_pool_reference(features, rois, height, width, 1 / 16)
        for side, array in zip((expected, expected_argmax), pooled, strict=True):
            side.append(array.reshape(5, height * width, channels))
        first += height * width
    kernels.library.LimitBlocks(2**62)
    expected, expected_argmax = (np.concatenate(x, axis=1) for x in (expected, expected_argmax))
    assert same_bits(memory.get(output, size, features.dtype), expected)
    assert same_bits(memory.get(argmax, size, np.dtype(np.int32)), expected_argmax)
    grad_output = np.random.default_rng(0).normal(size=size).astype(features.dtype)[:, :, None]
    arguments = grad_output, expected_argmax[:, :, None], rois, features.shape
    grad = gradient(kernels, memory, *arguments, deterministic=True)
    assert same_bits(grad, roi_pool_grad_reference(*arguments))


@pytest.mark.parametrize("unaligned", ["features", "output", "argmax"])
def test_one_unaligned_address(unaligned):
    kernels, memory = host_kernels(), HostMemory()
    shift = {"features": 0, "output": 0, "argmax": 0} | {unaligned: UNALIGNED}
    features, rois = random_features((1, 6, 7, 8)), random_rois(3, 1, 96, 112)
    shape = Shape(1, 6, 7, 8, 3, 2, 2)
    at = memory.address
    bins = memory.empty(3 * 4 * 9)
    kernels.bins(shape, at(memory.put(rois)), 1 / 16, at(bins), 0)
    features_there = HostMemory(shift["features"]).put(features)
    output, argmax = (memory.empty(3 * 4 * 8 * 4, shift[name]) for name in ("output", "argmax"))
    kernels.pool("float32", shape, at(features_there), at(bins), at(output), at(argmax))
    expected, positions = roi_pool_reference(features, rois, 2, 2, 1 / 16)
    assert same_bits(memory.get(output, (3, 2, 2, 8), features.dtype), expected)
    assert same_bits(memory.get(argmax, (3, 2, 2, 8), positions.dtype), positions)


def test_a_bad_row_reads_nothing():
    kernels, memory = host_kernels(), HostMemory()
    rois = np.float32([[0, 0, 0, 9, 9], [7, 0, 0, 9, 9], [0, np.nan, 0, 9, 9]])
    shape = Shape(1, 4, 4, 2, 3, 1, 2)
    bins, first_bad = memory.empty(3 * 4 * 7), memory.put(np.array([3], np.int64))
    at = memory.address
    kernels.bins(shape, at(memory.put(rois)), 1.0, at(bins), at(first_bad))
    found = memory.get(bins, (3, 7), np.dtype(np.int32))
    assert found.tolist() == [[0, 0, 4, 0, 4, 4, 4], [0] * 7, [0] * 7]
    assert memory.get(first_bad, (1,), np.dtype(np.int64)).tolist() == [1]


def test_sizes_that_an_int32_cannot_hold():
    with pytest.raises(CudaError, match="invalid argument"):
        host_kernels().pool("float32", Shape(1, 1 << 16, 1 << 16, 1, 1, 1, 1), 0, 0, 0, 0)
    with pytest.raises(CudaError, match="invalid argument"):
        host_kernels().pool("float32", Shape(1, 1, 1, 1, 1, 1 << 16, 1 << 16), 0, 0, 0, 0)
    with pytest.raises(CudaError, match="invalid argument"):
        shape = Shape(1, 1 << 16, 1 << 16, 1, 1, 1, 1)
        host_kernels().grad("float32", shape, 0, 0, 0, 0, 0, True)
