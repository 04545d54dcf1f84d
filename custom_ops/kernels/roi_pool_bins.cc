// The bins of all RoIs, on the host.

#include "roi_pool_bins.h"

#include "roi_pool.h"

namespace keras_frcnn {
namespace {

void AxisBins(float start, float end, int64_t bin_count, int64_t limit, int32_t* bounds) {
  const float bin = BinSize(start, end, bin_count);
  for (int64_t p = 0; p < bin_count; ++p) BinBounds(start, bin, p, limit, bounds + 2 * p);
}

}  // namespace

int64_t FirstBadRoi(const float* rois, float spatial_scale, int64_t n, int64_t k) {
  for (int64_t row = 0; row < k; ++row, rois += 5) {
    if (!IsGoodRoi(rois, ScaleCorners(rois, spatial_scale), n)) return row;
  }
  return k;
}

int64_t ComputeBins(const float* rois, float spatial_scale, const RoiPoolShape& shape,
                    int32_t* bins) {
  for (int64_t k = 0; k < shape.k; ++k, rois += 5, bins += BinsPerRoi(shape)) {
    const Corners corners = ScaleCorners(rois, spatial_scale);
    if (!IsGoodRoi(rois, corners, shape.n)) return k;
    bins[0] = static_cast<int32_t>(rois[0]);
    AxisBins(corners.y1, corners.y2, shape.ph, shape.h, bins + 1);
    AxisBins(corners.x1, corners.x2, shape.pw, shape.w, bins + 1 + 2 * shape.ph);
  }
  return shape.k;
}

}  // namespace keras_frcnn
