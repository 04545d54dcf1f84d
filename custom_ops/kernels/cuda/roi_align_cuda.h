// The CUDA kernels of RoIAlign behind a C interface; see cuda_call.h. A call is about one map: the
// RoIs of a pyramid's other levels are placed on other maps, in calls of their own.

#ifndef KERAS_FRCNN_ROI_ALIGN_CUDA_H_
#define KERAS_FRCNN_ROI_ALIGN_CUDA_H_

#include <cstdint>

#include "cuda_call.h"
#include "roi_align_axis.h"
#include "roi_pool.h"

namespace keras_frcnn {

struct CudaAlignArgs {
  RoiPoolShape shape;      // of the map, its K RoIs and their bins
  const void* features;    // [N, H, W, C]
  const PlacedRoi* rois;   // [K]
  void* output;            // [rows, PH, PW, C], of which those of these RoIs are written
};

struct CudaAlignGradArgs {
  RoiPoolShape shape;
  const void* grad_output;  // [rows, PH, PW, C]
  const PlacedRoi* rois;    // [K], rows growing
  void* grad;               // [N, H, W, C]
  void* scratch;            // KerasFrcnnCudaAlignGradScratch bytes, aligned to 16
};

}  // namespace keras_frcnn

// On the host: places `rois` [K, 5], numbered from 0, on a map of N images. Returns the first row
// with a fault (a keras_frcnn::RoiFault, in `fault`), or K.
KERAS_FRCNN_EXPORT int64_t KerasFrcnnPlaceRois(const float* rois, int64_t k, float spatial_scale,
                                               const keras_frcnn::AlignGrid* grid, int64_t n,
                                               keras_frcnn::PlacedRoi* placed, int* fault);

// `dtype` is a keras_frcnn::DType. 16 bytes are read at a time where C and all addresses allow it.
KERAS_FRCNN_EXPORT int KerasFrcnnCudaAlign(int dtype, const keras_frcnn::CudaAlignArgs* args,
                                           keras_frcnn::CudaCall* call);

// Sums in the CPU's order where `deterministic`; else in no fixed order.
KERAS_FRCNN_EXPORT int KerasFrcnnCudaAlignGrad(int dtype,
                                               const keras_frcnn::CudaAlignGradArgs* args,
                                               int deterministic, keras_frcnn::CudaCall* call);
KERAS_FRCNN_EXPORT int64_t KerasFrcnnCudaAlignGradScratch(int dtype,
                                                          const keras_frcnn::RoiPoolShape* shape,
                                                          int deterministic);

#endif  // KERAS_FRCNN_ROI_ALIGN_CUDA_H_
