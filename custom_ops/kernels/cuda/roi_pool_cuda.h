// The CUDA kernels behind a C interface: plain pointers to device memory, no CUDA header, so that
// TensorFlow's kernels, ctypes and a test that runs the same code on the host can call them.
//
// Nothing here waits for the device. Functions return a cudaError_t, 0 for success.

#ifndef KERAS_FRCNN_ROI_POOL_CUDA_H_
#define KERAS_FRCNN_ROI_POOL_CUDA_H_

#include <cstdint>

#include "roi_pool.h"

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

struct CudaPoolArgs {
  RoiPoolShape shape;
  const void* features;  // [N, H, W, C]
  const int32_t* bins;   // [K, BinsPerRoi]
  // One grid of bins. In a pyramid `output` and `argmax` point to the grid's first bin of the first
  // RoI, and `output_stride` elements lie between the same bins of one RoI and the next.
  void* output;
  int32_t* argmax;  // null where it is not wanted
  int64_t output_stride;
};

struct CudaGradArgs {
  RoiPoolShape shape;
  const void* grad_output;  // [K, PH, PW, C]
  const int32_t* argmax;    // [K, PH, PW, C]
  const float* rois;        // [K, 5], of which only the batch index counts
  void* grad;               // [N, H, W, C]
  void* scratch;            // KerasFrcnnCudaGradScratch bytes, aligned to 16
};

}  // namespace keras_frcnn

#define KERAS_FRCNN_EXPORT extern "C" __attribute__((visibility("default")))

// The bins of `rois` [K, 5] in device memory. A row that is not good gets empty bins of image 0,
// and `first_bad`, unless null, becomes the least of its value and that row.
KERAS_FRCNN_EXPORT int KerasFrcnnCudaBins(const keras_frcnn::RoiPoolShape* shape, const float* rois,
                                          float spatial_scale, int32_t* bins, int64_t* first_bad,
                                          keras_frcnn::CudaCall* call);

// `dtype` is a keras_frcnn::DType. 16 bytes are read at a time where C and all addresses allow it.
KERAS_FRCNN_EXPORT int KerasFrcnnCudaPool(int dtype, const keras_frcnn::CudaPoolArgs* args,
                                          keras_frcnn::CudaCall* call);

// Sums in (k, ph, pw) order where `deterministic`, as the CPU does; else in no fixed order.
KERAS_FRCNN_EXPORT int KerasFrcnnCudaGrad(int dtype, const keras_frcnn::CudaGradArgs* args,
                                          int deterministic, keras_frcnn::CudaCall* call);
KERAS_FRCNN_EXPORT int64_t KerasFrcnnCudaGradScratch(int dtype,
                                                     const keras_frcnn::RoiPoolShape* shape,
                                                     int deterministic);

// Copies from host memory, which must stay as it is until the stream has come this far.
KERAS_FRCNN_EXPORT int KerasFrcnnCudaCopyToDevice(void* to, const void* from, int64_t bytes,
                                                  void* stream);

KERAS_FRCNN_EXPORT const char* KerasFrcnnCudaErrorString(int error);

// The architectures that this library was compiled for, such as "sm_80 sm_90 compute_90".
KERAS_FRCNN_EXPORT const char* KerasFrcnnCudaArchitectures();

#endif  // KERAS_FRCNN_ROI_POOL_CUDA_H_
