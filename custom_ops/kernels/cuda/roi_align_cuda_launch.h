// Which of RoIAlign's kernels a call of the C interface runs, how wide and on how many blocks; see
// cuda_launch.h.

#ifndef KERAS_FRCNN_ROI_ALIGN_CUDA_LAUNCH_H_
#define KERAS_FRCNN_ROI_ALIGN_CUDA_LAUNCH_H_

#include <cstdint>

#include "cuda_launch.h"
#include "roi_align_cuda.h"
#include "roi_align_cuda_grad_threads.h"
#include "roi_align_cuda_threads.h"

namespace keras_frcnn {
namespace cuda {

inline int64_t PlaceRois(const float* rois, int64_t k, float spatial_scale, const AlignGrid& grid,
                         int64_t n, PlacedRoi* placed, int* fault) {
  for (int64_t row = 0; row < k; ++row) {
    placed[row].row = static_cast<int32_t>(row);
    placed[row].level = 0;
    const RoiFault found = PlaceRoi(rois + 5 * row, spatial_scale, grid, n, placed + row);
    *fault = static_cast<int>(found);
    if (found != RoiFault::kNone) return row;
  }
  return k;
}

template <typename T, int kElements, typename Launcher>
int LaunchAlignBins(const CudaAlignArgs& args, Launcher& launch) {
  const int64_t slices = Divide(args.shape.c, kLanes * kElements);
  return launch(AlignBins<T, kElements>{args, slices}, Divide(Bins(args.shape) * slices, kWarps));
}

template <typename Launcher>
int LaunchAlign(int dtype, const CudaAlignArgs& args, Launcher& launch) {
  const RoiPoolShape& s = args.shape;
  if (Bins(s) * s.c == 0) return 0;
  return ForType(dtype, [&](auto type) {
    using T = decltype(type);
    using E = typename T::Element;
    constexpr int kWide = 16 / sizeof(E);
    const bool wide =
        IsAligned<E, kWide>(args.features, s.c) && IsAligned<E, kWide>(args.output, s.c);
    return wide ? LaunchAlignBins<T, kWide>(args, launch) : LaunchAlignBins<T, 1>(args, launch);
  });
}

template <typename T, typename Launcher>
int LaunchScatterAlignGrad(const CudaAlignGradArgs& args, Launcher& launch) {
  const RoiPoolShape& s = args.shape;
  return LaunchSums<T>(args.grad, args.scratch, Cells(s) * s.c, launch, [&](auto* sum) {
    if (Bins(s) == 0) return 0;
    const int64_t slices = Divide(s.c, kLanes);
    return launch(ScatterAlignGrad<T>{args, sum, slices}, Divide(Bins(s) * slices, kWarps));
  });
}

template <typename T, int kElements, typename Launcher>
int LaunchGatherAlignGrad(const CudaAlignGradArgs& args, const Box* boxes, const Span* spans,
                          Launcher& launch) {
  const int64_t slices = Divide(args.shape.c, kLanes * kElements);
  return launch(GatherAlignGrad<T, kElements>{args, boxes, spans, slices},
                Divide(Cells(args.shape) * slices, kWarps));
}

template <typename T, typename Launcher>
int LaunchOrderedAlignGrad(const CudaAlignGradArgs& args, Launcher& launch) {
  const RoiPoolShape& s = args.shape;
  Box* const boxes = static_cast<Box*>(args.scratch);
  Span* const spans = reinterpret_cast<Span*>(boxes + s.k);
  if (s.k > 0) {
    const AlignSpans of_bins = {s, args.rois, spans};
    if (const int error = launch(of_bins, Divide(s.k * (s.ph + s.pw), kThreads))) return error;
    const AlignBoxes of_rois = {s, spans, boxes};
    if (const int error = launch(of_rois, Divide(s.k, kThreads))) return error;
  }
  using E = typename T::Element;
  constexpr int kWide = 16 / sizeof(E);
  const bool wide =
      IsAligned<E, kWide>(args.grad_output, s.c) && IsAligned<E, kWide>(args.grad, s.c);
  return wide ? LaunchGatherAlignGrad<T, kWide>(args, boxes, spans, launch)
              : LaunchGatherAlignGrad<T, 1>(args, boxes, spans, launch);
}

// Bytes of scratch memory.
inline int64_t AlignGradScratch(int dtype, const RoiPoolShape& s, bool ordered) {
  if (!ordered) return SumScratch(dtype, Cells(s) * s.c);
  return s.k * static_cast<int64_t>(sizeof(Box) + (s.ph + s.pw) * sizeof(Span));
}

template <typename Launcher>
int LaunchAlignGrad(int dtype, const CudaAlignGradArgs& args, bool ordered, Launcher& launch) {
  if (Cells(args.shape) * args.shape.c == 0) return 0;
  return ForType(dtype, [&](auto type) {
    using T = decltype(type);
    return ordered ? LaunchOrderedAlignGrad<T>(args, launch)
                   : LaunchScatterAlignGrad<T>(args, launch);
  });
}

}  // namespace cuda
}  // namespace keras_frcnn

#endif  // KERAS_FRCNN_ROI_ALIGN_CUDA_LAUNCH_H_
