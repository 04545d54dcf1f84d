// The samples of a RoI, in float32, each operation rounded by itself and in the order of
// docs/roi_align.md.

#include <algorithm>
#include <cmath>

#include "roi_align_samples.h"

namespace keras_frcnn {
namespace {

// A RoI on one axis of its map: where it begins, in cells, and the size of a bin.
struct Extent {
  float start, bin;
};

Extent ExtentOf(float low, float high, float spatial_scale, int64_t bins, bool aligned) {
  const float offset = aligned ? 0.5f : 0.0f;
  const float start = low * spatial_scale - offset;
  float size = (high * spatial_scale - offset) - start;
  if (!aligned) size = std::max(size, 1.0f);
  return {start, size / static_cast<float>(bins)};
}

Extent ExtentY(const float* roi, float scale, const AlignGrid& grid) {
  return ExtentOf(roi[2], roi[4], scale, grid.ph, grid.aligned);
}

Extent ExtentX(const float* roi, float scale, const AlignGrid& grid) {
  return ExtentOf(roi[1], roi[3], scale, grid.pw, grid.aligned);
}

// Samples of a bin; none where the RoI is inverted by a bin or more.
float SampleCount(const Extent& extent, const AlignGrid& grid) {
  if (grid.sampling_ratio > 0) return static_cast<float>(grid.sampling_ratio);
  return std::max(std::ceil(extent.bin), 0.0f);
}

void ComputeAxis(const Extent& extent, int64_t bins, int64_t count, int64_t limit,
                 AxisSamples* axis) {
  axis->samples.clear();
  axis->first.assign(1, 0);
  for (int64_t p = 0; p < bins; ++p) {
    const float bin_start = extent.start + static_cast<float>(p) * extent.bin;
    for (int64_t i = 0; i < count && limit > 0; ++i) {
      const float step = (static_cast<float>(i) + 0.5f) * extent.bin;
      float at = bin_start + step / static_cast<float>(count);
      if (!(at >= -1.0f && at <= static_cast<float>(limit))) continue;
      at = std::max(at, 0.0f);
      const int32_t low = static_cast<int32_t>(at);
      if (low >= limit - 1) {
        const int32_t last = static_cast<int32_t>(limit - 1);
        axis->samples.push_back({last, last, 1.0f, 0.0f});
      } else {
        const float fraction = at - static_cast<float>(low);
        axis->samples.push_back({low, low + 1, 1.0f - fraction, fraction});
      }
    }
    axis->first.push_back(static_cast<int32_t>(axis->samples.size()));
  }
}

}  // namespace

RoiFault CheckRoi(const float* roi, float spatial_scale, const AlignGrid& grid, int64_t n,
                  int64_t counts[2]) {
  counts[0] = counts[1] = 0;
  if (!(roi[0] >= 0 && roi[0] < static_cast<float>(n))) return RoiFault::kImage;
  const Extent y = ExtentY(roi, spatial_scale, grid), x = ExtentX(roi, spatial_scale, grid);
  for (const Extent& extent : {y, x}) {
    if (!std::isfinite(extent.start) || !std::isfinite(extent.bin)) return RoiFault::kNotFinite;
  }
  // A corner may be infinite where the size, at least a cell in legacy mode, is not.
  for (int i = 1; i < 5; ++i) {
    if (!std::isfinite(roi[i] * spatial_scale)) return RoiFault::kNotFinite;
  }
  const float count_y = SampleCount(y, grid), count_x = SampleCount(x, grid);
  if (std::max(count_y, count_x) > static_cast<float>(kMaxAxisSamples)) {
    return RoiFault::kTooManySamples;
  }
  counts[0] = static_cast<int64_t>(count_y);
  counts[1] = static_cast<int64_t>(count_x);
  if (counts[0] == 0 || counts[1] == 0) counts[0] = counts[1] = 0;
  return RoiFault::kNone;
}

void ComputeSamples(const float* roi, float spatial_scale, const AlignGrid& grid, int64_t h,
                    int64_t w, RoiSamples* samples) {
  int64_t counts[2];
  CheckRoi(roi, spatial_scale, grid, 1 + static_cast<int64_t>(roi[0]), counts);
  samples->image = static_cast<int64_t>(roi[0]);
  samples->count = std::max<int64_t>(counts[0] * counts[1], 1);
  ComputeAxis(ExtentY(roi, spatial_scale, grid), grid.ph, counts[0], h, &samples->y);
  ComputeAxis(ExtentX(roi, spatial_scale, grid), grid.pw, counts[1], w, &samples->x);
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
