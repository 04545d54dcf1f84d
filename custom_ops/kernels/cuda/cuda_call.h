// What every call of the CUDA kernels' C interface takes, and the functions that belong to none of
// them: plain pointers, no CUDA header, so that TensorFlow's kernels, ctypes and a test that runs
// the same code on the host can call them.
//
// Nothing in these interfaces waits for the device. Functions return a cudaError_t, 0 for success.

#ifndef KERAS_FRCNN_CUDA_CALL_H_
#define KERAS_FRCNN_CUDA_CALL_H_

#include <cstdint>

namespace keras_frcnn {

// What one kernel takes of a multiprocessor.
struct CudaKernelInfo {
  const char* name;
  int32_t registers;              // a thread
  int32_t local_bytes;            // of a thread: registers spilled to memory
  int32_t blocks_at_once;         // on one multiprocessor
  int32_t threads_at_once_limit;  // of a multiprocessor
  int64_t blocks;                 // that the call would launch
};

// Where a call runs. With room for `infos`, it describes its kernels there instead of running them.
struct CudaCall {
  void* stream;
  CudaKernelInfo* infos;
  int32_t info_capacity;
  int32_t info_count;
};

}  // namespace keras_frcnn

#define KERAS_FRCNN_EXPORT extern "C" __attribute__((visibility("default")))

// Copies from host memory, which must stay as it is until the stream has come this far.
KERAS_FRCNN_EXPORT int KerasFrcnnCudaCopyToDevice(void* to, const void* from, int64_t bytes,
                                                  void* stream);

KERAS_FRCNN_EXPORT const char* KerasFrcnnCudaErrorString(int error);

// The architectures that this library was compiled for, such as "sm_80 sm_90 compute_90".
KERAS_FRCNN_EXPORT const char* KerasFrcnnCudaArchitectures();

#endif  // KERAS_FRCNN_CUDA_CALL_H_
