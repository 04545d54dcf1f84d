// The tables of a RoI's samples.

#include "roi_align_samples.h"

namespace keras_frcnn {
namespace {

void ComputeAxis(const PlacedAxis& placed, int64_t bins, int64_t limit, AxisSamples* axis) {
  axis->samples.clear();
  axis->first.assign(1, 0);
  for (int64_t p = 0; p < bins; ++p) {
    const SampleRange range = SamplesInside(placed, p, limit);
    for (int32_t i = range.begin; i < range.end; ++i) {
      AxisSample sample;
      if (TakeSample(placed, p, i, limit, &sample)) axis->samples.push_back(sample);
    }
    axis->first.push_back(static_cast<int32_t>(axis->samples.size()));
  }
}

}  // namespace

void ComputeSamples(const PlacedRoi& roi, const AlignGrid& grid, int64_t h, int64_t w,
                    RoiSamples* samples) {
  samples->count = Divisor(roi);
  ComputeAxis(roi.y, grid.ph, h, &samples->y);
  ComputeAxis(roi.x, grid.pw, w, &samples->x);
}

AlignRoi ForKernel(const RoiSamples& samples, const AlignGrid& grid, int64_t w, int64_t c) {
  return {grid.ph,
          grid.pw,
          w,
          c,
          samples.count,
          samples.y.first.data(),
          samples.x.first.data(),
          samples.y.samples.data(),
          samples.x.samples.data()};
}

}  // namespace keras_frcnn
