// Which kernels a call of the C interface runs, how wide and on how many blocks. A `Launcher` runs
// them; see cuda_launch.h.

#ifndef KERAS_FRCNN_ROI_POOL_CUDA_LAUNCH_H_
#define KERAS_FRCNN_ROI_POOL_CUDA_LAUNCH_H_

#include <algorithm>
#include <cstdint>

#include "cuda_launch.h"
#include "roi_pool_cuda.h"
#include "roi_pool_cuda_grad_threads.h"
#include "roi_pool_cuda_threads.h"

namespace keras_frcnn {
namespace cuda {

template <typename Launcher>
int LaunchBins(const RoiPoolShape& shape, const float* rois, float spatial_scale, int32_t* bins,
               int64_t* first_bad, Launcher& launch) {
  const int64_t threads = shape.k * (shape.ph + shape.pw);
  if (threads == 0) return 0;
  return launch(ComputeBins{shape, rois, spatial_scale, bins, first_bad},
                Divide(threads, kThreads));
}

template <typename T, int kElements, bool kArgmax, typename Launcher>
int LaunchPoolBody(const CudaPoolArgs& args, Launcher& launch) {
  const int64_t slices = Divide(args.shape.c, kLanes * kElements);
  const int64_t items = Bins(args.shape) * slices;
  // Up to 7 bins a warp, so that a block holds a RoI of 7 x 7 bins, where that leaves blocks for
  // every multiprocessor of a large device several times over.
  constexpr int64_t kManyBlocks = 4096, kMostBins = 7;
  const int64_t bins = std::clamp<int64_t>(items / (kManyBlocks * kWarps), 1, kMostBins);
  const int32_t per_block = static_cast<int32_t>(bins * kWarps);
  return launch(Pool<T, kElements, kArgmax>{args, slices, items, per_block},
                Divide(items, per_block));
}

template <typename Launcher>
int LaunchPool(int dtype, const CudaPoolArgs& args, Launcher& launch) {
  const RoiPoolShape& s = args.shape;
  if (s.ph * s.pw > INT32_MAX || s.h * s.w > INT32_MAX) return kInvalidValue;
  if (Bins(s) * s.c == 0) return 0;
  return ForType(dtype, [&](auto type) {
    using T = decltype(type);
    using E = typename T::Element;
    constexpr int kWide = 16 / sizeof(E);
    const bool wide = IsAligned<E, kWide>(args.features, s.c) &&
                      IsAligned<E, kWide>(args.output, args.output_stride) &&
                      IsAligned<int32_t, kWide>(args.argmax, args.output_stride);
    if (wide && args.argmax) return LaunchPoolBody<T, kWide, true>(args, launch);
    if (wide) return LaunchPoolBody<T, kWide, false>(args, launch);
    if (args.argmax) return LaunchPoolBody<T, 1, true>(args, launch);
    return LaunchPoolBody<T, 1, false>(args, launch);
  });
}

template <typename T, typename Launcher>
int LaunchScatterGrad(const CudaGradArgs& args, Launcher& launch) {
  const RoiPoolShape& s = args.shape;
  return LaunchSums<T>(args.grad, args.scratch, Cells(s) * s.c, launch, [&](auto* sum) {
    if (Bins(s) == 0) return 0;
    const int64_t slices = Divide(s.c, kLanes), runs = Divide(s.ph * s.pw, ScatterGrad<T>::kRun);
    return launch(ScatterGrad<T>{args, sum, slices, runs}, Divide(s.k * slices * runs, kWarps));
  });
}

template <typename T, int kElements, typename Launcher>
int LaunchGatherGrad(const CudaGradArgs& args, const Box* roi_boxes, const Box* bin_boxes,
                     Launcher& launch) {
  const int64_t slices = Divide(args.shape.c, kLanes * kElements);
  return launch(GatherGrad<T, kElements>{args, roi_boxes, bin_boxes, slices},
                Divide(Cells(args.shape) * slices, kWarps));
}

template <typename T, typename Launcher>
int LaunchOrderedGrad(const CudaGradArgs& args, Launcher& launch) {
  const RoiPoolShape& s = args.shape;
  Box* const bin_boxes = static_cast<Box*>(args.scratch);
  Box* const roi_boxes = bin_boxes + Bins(s);
  if (Bins(s) > 0) {
    const BinBoxes bins = {s, args.argmax, bin_boxes};
    if (const int error = launch(bins, Divide(Bins(s), kWarps))) return error;
    const RoiBoxes rois = {s, bin_boxes, roi_boxes};
    if (const int error = launch(rois, Divide(s.k, kThreads))) return error;
  }
  using E = typename T::Element;
  constexpr int kWide = 16 / sizeof(E);
  const bool wide = IsAligned<E, kWide>(args.grad_output, s.c) &&
                    IsAligned<E, kWide>(args.grad, s.c) &&
                    IsAligned<int32_t, kWide>(args.argmax, s.c);
  return wide ? LaunchGatherGrad<T, kWide>(args, roi_boxes, bin_boxes, launch)
              : LaunchGatherGrad<T, 1>(args, roi_boxes, bin_boxes, launch);
}

// Bytes of scratch memory.
inline int64_t GradScratch(int dtype, const RoiPoolShape& s, bool ordered) {
  if (ordered) return (Bins(s) + s.k) * static_cast<int64_t>(sizeof(Box));
  return SumScratch(dtype, Cells(s) * s.c);
}

template <typename Launcher>
int LaunchGrad(int dtype, const CudaGradArgs& args, bool ordered, Launcher& launch) {
  const RoiPoolShape& s = args.shape;
  if (s.h * s.w > INT32_MAX) return kInvalidValue;
  if (Cells(s) * s.c == 0) return 0;
  return ForType(dtype, [&](auto type) {
    using T = decltype(type);
    return ordered ? LaunchOrderedGrad<T>(args, launch) : LaunchScatterGrad<T>(args, launch);
  });
}

}  // namespace cuda
}  // namespace keras_frcnn

#endif  // KERAS_FRCNN_ROI_POOL_CUDA_LAUNCH_H_
