// The coordinate arithmetic of RoIAlign, for host and device: float32, each operation rounded by
// itself and in the order of docs/roi_align.md. Files that include this are compiled without
// contraction.

#ifndef KERAS_FRCNN_ROI_ALIGN_AXIS_H_
#define KERAS_FRCNN_ROI_ALIGN_AXIS_H_

#include <cmath>
#include <cstdint>
#include <initializer_list>

#include "roi_align.h"

namespace keras_frcnn {

// More samples of a bin along an axis are an error: a wild coordinate would take minutes.
constexpr int64_t kMaxAxisSamples = 65536;

// A RoI on one axis of its map: where it begins, in cells, the size of a bin and its samples.
struct PlacedAxis {
  float start, bin;
  int32_t count;  // 0 on both axes where one of them has none
};

// A RoI on its map.
struct PlacedRoi {
  int32_t row;    // among all rows of rois
  int32_t level;  // the map
  int32_t image;
  PlacedAxis y, x;
};

enum class RoiFault { kNone, kImage, kNotFinite, kTooManySamples };

// The samples [begin, end) of a bin.
struct SampleRange {
  int32_t begin, end;
};

inline PlacedAxis PlaceAxis(float low, float high, float spatial_scale, int64_t bins,
                            bool aligned) {
  const float offset = aligned ? 0.5f : 0.0f;
  const float start = low * spatial_scale - offset;
  float size = (high * spatial_scale - offset) - start;
  if (!aligned && size < 1.0f) size = 1.0f;
  return {start, size / static_cast<float>(bins), 0};
}

// Places a row (batch_index, x1, y1, x2, y2) on a map of N images, or says what is wrong with it.
// `row` and `level` are left to the caller.
inline RoiFault PlaceRoi(const float* roi, float spatial_scale, const AlignGrid& grid, int64_t n,
                         PlacedRoi* placed) {
  if (!(roi[0] >= 0 && roi[0] < static_cast<float>(n))) return RoiFault::kImage;
  placed->image = static_cast<int32_t>(roi[0]);
  placed->y = PlaceAxis(roi[2], roi[4], spatial_scale, grid.ph, grid.aligned);
  placed->x = PlaceAxis(roi[1], roi[3], spatial_scale, grid.pw, grid.aligned);
  for (const PlacedAxis& axis : {placed->y, placed->x}) {
    if (!std::isfinite(axis.start) || !std::isfinite(axis.bin)) return RoiFault::kNotFinite;
  }
  // A corner may be infinite where the size, at least a cell in legacy mode, is not.
  for (int i = 1; i < 5; ++i) {
    if (!std::isfinite(roi[i] * spatial_scale)) return RoiFault::kNotFinite;
  }
  for (PlacedAxis* axis : {&placed->y, &placed->x}) {
    float count = static_cast<float>(grid.sampling_ratio);
    // None where the RoI is inverted by a bin or more.
    if (grid.sampling_ratio == 0) count = axis->bin > 0 ? std::ceil(axis->bin) : 0.0f;
    if (count > static_cast<float>(kMaxAxisSamples)) return RoiFault::kTooManySamples;
    axis->count = static_cast<int32_t>(count);
  }
  if (placed->y.count == 0 || placed->x.count == 0) placed->y.count = placed->x.count = 0;
  return RoiFault::kNone;
}

// What the sum of a bin is divided by.
KERAS_FRCNN_HOST_DEVICE inline int64_t Divisor(const PlacedRoi& roi) {
  const int64_t samples = static_cast<int64_t>(roi.y.count) * roi.x.count;
  return samples > 0 ? samples : 1;
}

// Where sample i of bin p lies. It grows, or in a RoI turned around falls, with i.
KERAS_FRCNN_HOST_DEVICE inline float SampleAt(const PlacedAxis& axis, int64_t p, int32_t i) {
  const float step = (static_cast<float>(i) + 0.5f) * axis.bin;
  return (axis.start + static_cast<float>(p) * axis.bin) + step / static_cast<float>(axis.count);
}

// Sample i of bin p between the cells of a map that has `limit`; false where it lies outside.
KERAS_FRCNN_HOST_DEVICE inline bool TakeSample(const PlacedAxis& axis, int64_t p, int32_t i,
                                               int64_t limit, AxisSample* sample) {
  float at = SampleAt(axis, p, i);
  if (!(at >= -1.0f && at <= static_cast<float>(limit)) || limit <= 0) return false;
  at = at < 0.0f ? 0.0f : at;
  const int32_t low = static_cast<int32_t>(at);
  if (low >= limit - 1) {
    const int32_t last = static_cast<int32_t>(limit - 1);
    *sample = {last, last, 1.0f, 0.0f};
  } else {
    const float fraction = at - static_cast<float>(low);
    *sample = {low, low + 1, 1.0f - fraction, fraction};
  }
  return true;
}

// The first sample of bin p that lies beyond `bound` in the direction in which the samples go: not
// before it, or with kPast after it.
template <bool kPast>
KERAS_FRCNN_HOST_DEVICE inline int32_t FirstBeyond(const PlacedAxis& axis, int64_t p, float bound) {
  int32_t begin = 0, end = axis.count;
  while (begin < end) {
    const int32_t middle = begin + (end - begin) / 2;
    const float at = SampleAt(axis, p, middle);
    const bool past = axis.bin < 0 ? at < bound : at > bound;
    if (past || (!kPast && at == bound)) {
      end = middle;
    } else {
      begin = middle + 1;
    }
  }
  return begin;
}

// Samples of bin p among which are all in [low, high]. Of a few, all: looking at each is cheaper
// than a search.
KERAS_FRCNN_HOST_DEVICE inline SampleRange SamplesWithin(const PlacedAxis& axis, int64_t p,
                                                         float low, float high) {
  constexpr int32_t kFew = 8;
  if (axis.count <= kFew) return {0, axis.count};
  const bool falls = axis.bin < 0;
  return {FirstBeyond<false>(axis, p, falls ? high : low),
          FirstBeyond<true>(axis, p, falls ? low : high)};
}

// Samples of bin p among which are all that lie inside a map of `limit` cells.
KERAS_FRCNN_HOST_DEVICE inline SampleRange SamplesInside(const PlacedAxis& axis, int64_t p,
                                                         int64_t limit) {
  return SamplesWithin(axis, p, -1.0f, static_cast<float>(limit));
}

}  // namespace keras_frcnn

#endif  // KERAS_FRCNN_ROI_ALIGN_AXIS_H_
