// Runs kernels, written as what one thread does, on the device, or describes them.

#ifndef KERAS_FRCNN_CUDA_DEVICE_H_
#define KERAS_FRCNN_CUDA_DEVICE_H_

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "cuda_call.h"
#include "cuda_launch.h"

namespace keras_frcnn {
namespace cuda {
namespace {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
constexpr int kMostBlocks = 4;  // Turing's multiprocessors hold 1024 threads
#else
constexpr int kMostBlocks = 6;
#endif

template <typename Body>
__global__ void __launch_bounds__(kThreads, std::min(Body::kBlocksAtOnce, kMostBlocks))
    Run(const Body body) {
  body(Thread{blockIdx.x, gridDim.x, static_cast<int32_t>(threadIdx.x) / kLanes,
              static_cast<int32_t>(threadIdx.x) % kLanes});
}

class DeviceLauncher {
 public:
  explicit DeviceLauncher(CudaCall* call) : call_(call) { call_->info_count = 0; }

  template <typename Body>
  int operator()(const Body& body, int64_t blocks) {
    const int64_t grid = std::min<int64_t>(blocks, INT32_MAX);
    if (call_->infos) return Describe<Body>(grid);
    // Unlike cudaGetLastError, its result owes nothing to an earlier call that failed.
    void* arguments[] = {const_cast<Body*>(&body)};
    return cudaLaunchKernel(Run<Body>, dim3(static_cast<unsigned>(grid)), dim3(kThreads), arguments,
                            0, Stream());
  }

  int Zero(void* memory, int64_t bytes) {
    return call_->infos ? cudaSuccess : cudaMemsetAsync(memory, 0, bytes, Stream());
  }

 private:
  cudaStream_t Stream() const { return static_cast<cudaStream_t>(call_->stream); }

  template <typename Body>
  int Describe(int64_t grid) {
    if (call_->info_count == call_->info_capacity) return cudaErrorInvalidValue;
    cudaFuncAttributes attributes;
    int blocks = 0, device = 0, threads = 0;
    cudaError_t error = cudaFuncGetAttributes(&attributes, Run<Body>);
    if (!error) {
      error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, Run<Body>, kThreads, 0);
    }
    if (!error) error = cudaGetDevice(&device);
    if (!error) {
      error = cudaDeviceGetAttribute(&threads, cudaDevAttrMaxThreadsPerMultiProcessor, device);
    }
    if (error) return error;
    call_->infos[call_->info_count++] = {
        Body::kName, attributes.numRegs, static_cast<int32_t>(attributes.localSizeBytes),
        blocks,      threads,            grid};
    return cudaSuccess;
  }

  CudaCall* call_;
};

}  // namespace
}  // namespace cuda
}  // namespace keras_frcnn

#endif  // KERAS_FRCNN_CUDA_DEVICE_H_
