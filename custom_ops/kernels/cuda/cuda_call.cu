// The functions of the C interface that belong to no kernel.

#include <cuda_runtime.h>

#include "cuda_call.h"

#ifndef KERAS_FRCNN_CUDA_ARCHITECTURES
#error "compile with -DKERAS_FRCNN_CUDA_ARCHITECTURES set to the architectures' names"
#endif

int KerasFrcnnCudaCopyToDevice(void* to, const void* from, int64_t bytes, void* stream) {
  return cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice,
                         static_cast<cudaStream_t>(stream));
}

const char* KerasFrcnnCudaErrorString(int error) {
  return cudaGetErrorString(static_cast<cudaError_t>(error));
}

const char* KerasFrcnnCudaArchitectures() { return KERAS_FRCNN_CUDA_ARCHITECTURES; }
