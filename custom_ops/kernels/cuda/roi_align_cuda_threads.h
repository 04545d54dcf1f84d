// RoIAlign's CUDA kernel, as what one thread of a launch does; see roi_pool_cuda_threads.h.
//
// A sample's cells and weights are worked out where they are needed, from the few numbers of a
// placed RoI: all lanes of a warp do the same on the same numbers, and share it out over the
// channels. Tables in memory, as on the CPU, would have to be read just as often.

#ifndef KERAS_FRCNN_ROI_ALIGN_CUDA_THREADS_H_
#define KERAS_FRCNN_ROI_ALIGN_CUDA_THREADS_H_

#include <cstdint>

#include "cuda_types.h"
#include "roi_align_axis.h"
#include "roi_align_cuda.h"

namespace keras_frcnn {
namespace cuda {

// The weights of a sample's corners: products of float32, whatever is summed.
struct CornerWeights {
  float at[4];

  KERAS_FRCNN_HOST_DEVICE CornerWeights(const AxisSample& y, const AxisSample& x)
      : at{y.low_weight * x.low_weight, y.low_weight * x.high_weight,
           y.high_weight * x.low_weight, y.high_weight * x.high_weight} {}
};

// A warp for a bin of a RoI and a slice of channels, `kElements` neighbouring channels a lane.
template <typename T, int kElements>
struct AlignBins {
  static constexpr const char* kName = "align";
  static constexpr int kBlocksAtOnce = kElements == 8 ? 3 : 4;

  using Element = typename T::Element;
  using Sum = typename T::Sum;

  CudaAlignArgs args;
  int64_t slices;

  KERAS_FRCNN_HOST_DEVICE void operator()(const Thread& thread) const {
    const RoiPoolShape& s = args.shape;
    const int64_t bins = s.ph * s.pw, items = s.k * bins * slices;
    for (int64_t item = thread.block * kWarps + thread.warp; item < items;
         item += thread.blocks * kWarps) {
      const int64_t slice = item % slices, bin = item / slices % bins, k = item / slices / bins;
      const int64_t c = (slice * kLanes + thread.lane) * kElements;
      if (c < s.c) Align(args.rois[k], bin / s.pw, bin % s.pw, c);
    }
  }

  KERAS_FRCNN_HOST_DEVICE void Align(const PlacedRoi& roi, int64_t ph, int64_t pw,
                                     int64_t c) const {
    const RoiPoolShape& s = args.shape;
    const Element* const image =
        static_cast<const Element*>(args.features) + roi.image * s.h * s.w * s.c + c;
    const SampleRange rows = SamplesInside(roi.y, ph, s.h);
    const SampleRange columns = SamplesInside(roi.x, pw, s.w);
    Sum sum[kElements] = {};
    for (int32_t i = rows.begin; i < rows.end; ++i) {
      AxisSample y, x;
      if (!TakeSample(roi.y, ph, i, s.h, &y)) continue;
      for (int32_t j = columns.begin; j < columns.end; ++j) {
        if (!TakeSample(roi.x, pw, j, s.w, &x)) continue;
        const CornerWeights weights(y, x);
        const int64_t low = y.low * s.w, high = y.high * s.w;
        const int64_t cells[4] = {low + x.low, low + x.high, high + x.low, high + x.high};
        Sum value[kElements] = {};
        for (int corner = 0; corner < 4; ++corner) {
          const auto next = Read<Pack<Element, kElements>>(image + cells[corner] * s.c);
          const Sum weight = static_cast<Sum>(weights.at[corner]);
          for (int e = 0; e < kElements; ++e) {
            const Sum term = weight * T::ToSum(next.at[e]);
            value[e] = corner == 0 ? term : value[e] + term;
          }
        }
        for (int e = 0; e < kElements; ++e) sum[e] += value[e];
      }
    }
    const Sum divisor = static_cast<Sum>(Divisor(roi));
    Pack<Element, kElements> mean;
    for (int e = 0; e < kElements; ++e) mean.at[e] = T::FromSum(sum[e] / divisor);
    Write(mean, static_cast<Element*>(args.output) +
                    ((roi.row * s.ph + ph) * s.pw + pw) * s.c + c);
  }
};

}  // namespace cuda
}  // namespace keras_frcnn

#endif  // KERAS_FRCNN_ROI_ALIGN_CUDA_THREADS_H_
