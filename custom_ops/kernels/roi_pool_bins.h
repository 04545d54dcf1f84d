// The coordinate arithmetic of RoI max pooling, for host and device: float32, in this order. No
// product is added to anything before it is rounded, so there is nothing to contract; files that
// include this are compiled without contraction all the same.

#ifndef KERAS_FRCNN_ROI_POOL_BINS_H_
#define KERAS_FRCNN_ROI_POOL_BINS_H_

#include <cmath>
#include <cstdint>

#include "roi_pool.h"

namespace keras_frcnn {

// The corners of a RoI in cells, inclusive.
struct Corners {
  float x1, y1, x2, y2;
};

// Scales and rounds the row (batch_index, x1, y1, x2, y2); roundf takes halves away from zero.
KERAS_FRCNN_HOST_DEVICE inline Corners ScaleCorners(const float* roi, float spatial_scale) {
  return {roundf(roi[1] * spatial_scale), roundf(roi[2] * spatial_scale),
          roundf(roi[3] * spatial_scale), roundf(roi[4] * spatial_scale)};
}

// Whether the batch index is in [0, n) and the corners and sizes are finite.
KERAS_FRCNN_HOST_DEVICE inline bool IsGoodRoi(const float* roi, const Corners& corners, int64_t n) {
  return roi[0] >= 0.0f && roi[0] < static_cast<float>(n) && std::isfinite(corners.x1) &&
         std::isfinite(corners.y1) && std::isfinite(corners.x2 - corners.x1) &&
         std::isfinite(corners.y2 - corners.y1);
}

// The size of a bin, in cells, on the axis of the inclusive corners `start` and `end`.
KERAS_FRCNN_HOST_DEVICE inline float BinSize(float start, float end, int64_t bin_count) {
  return fmaxf(end - start + 1.0f, 1.0f) / static_cast<float>(bin_count);
}

// The half-open bounds of bin p, cut off at the map's `limit`.
KERAS_FRCNN_HOST_DEVICE inline void BinBounds(float start, float bin, int64_t p, int64_t limit,
                                              int32_t* bounds) {
  const float last = static_cast<float>(limit);
  const float lower = floorf(static_cast<float>(p) * bin) + start;
  const float upper = ceilf(static_cast<float>(p + 1) * bin) + start;
  bounds[0] = static_cast<int32_t>(fminf(fmaxf(lower, 0.0f), last));
  bounds[1] = static_cast<int32_t>(fminf(fmaxf(upper, 0.0f), last));
}

}  // namespace keras_frcnn

#endif  // KERAS_FRCNN_ROI_POOL_BINS_H_
