// The coordinate arithmetic of RoI max pooling: float32, in this order, without contraction.

#include <cmath>

#include "roi_pool.h"

namespace keras_frcnn {
namespace {

// Half-open bounds of the bins of one axis, for inclusive corners `start` and `end`.
void AxisBins(float start, float end, int64_t bin_count, int64_t limit, int32_t* bounds) {
  const float size = std::fmax(end - start + 1.0f, 1.0f);
  const float bin = size / static_cast<float>(bin_count);
  const float last = static_cast<float>(limit);
  for (int64_t p = 0; p < bin_count; ++p) {
    const float lower = std::floor(static_cast<float>(p) * bin) + start;
    const float upper = std::ceil(static_cast<float>(p + 1) * bin) + start;
    bounds[2 * p] = static_cast<int32_t>(std::fmin(std::fmax(lower, 0.0f), last));
    bounds[2 * p + 1] = static_cast<int32_t>(std::fmin(std::fmax(upper, 0.0f), last));
  }
}

}  // namespace

int64_t ComputeBins(const float* rois, float spatial_scale, const RoiPoolShape& shape,
                    int32_t* bins) {
  for (int64_t k = 0; k < shape.k; ++k, rois += 5, bins += BinsPerRoi(shape)) {
    // std::round takes halves away from zero.
    const float x1 = std::round(rois[1] * spatial_scale);
    const float y1 = std::round(rois[2] * spatial_scale);
    const float x2 = std::round(rois[3] * spatial_scale);
    const float y2 = std::round(rois[4] * spatial_scale);
    const bool in_batch = rois[0] >= 0.0f && rois[0] < static_cast<float>(shape.n);
    const bool finite = std::isfinite(x1) && std::isfinite(y1) && std::isfinite(x2 - x1) &&
                        std::isfinite(y2 - y1);
    if (!in_batch || !finite) return k;
    bins[0] = static_cast<int32_t>(rois[0]);
    AxisBins(y1, y2, shape.ph, shape.h, bins + 1);
    AxisBins(x1, x2, shape.pw, shape.w, bins + 1 + 2 * shape.ph);
  }
  return shape.k;
}

}  // namespace keras_frcnn
