// The CUDA kernels of RoI pooling behind a C interface; see cuda_call.h.

#ifndef KERAS_FRCNN_ROI_POOL_CUDA_H_
#define KERAS_FRCNN_ROI_POOL_CUDA_H_

#include <cstdint>

#include "cuda_call.h"
#include "roi_pool.h"

namespace keras_frcnn {

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

#endif  // KERAS_FRCNN_ROI_POOL_CUDA_H_
