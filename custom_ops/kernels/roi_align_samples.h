// Where a RoI's samples lie; see roi_align.h. Apart from it because the kernels must not meet the
// standard library.

#ifndef KERAS_FRCNN_ROI_ALIGN_SAMPLES_H_
#define KERAS_FRCNN_ROI_ALIGN_SAMPLES_H_

#include <cstdint>
#include <vector>

#include "roi_align.h"

namespace keras_frcnn {

// The samples of a RoI on one axis that lie inside the map: bin p has [first[p], first[p + 1]).
struct AxisSamples {
  std::vector<int32_t> first;
  std::vector<AxisSample> samples;
};

enum class RoiFault { kNone, kImage, kNotFinite, kTooManySamples };

// More samples of a bin along an axis are an error: a wild coordinate would take minutes.
constexpr int64_t kMaxAxisSamples = 65536;

// The samples of one RoI (batch_index, x1, y1, x2, y2) on a map of H x W cells.
struct RoiSamples {
  int64_t image;
  int64_t count;  // what the sum of a bin is divided by
  AxisSamples y, x;
};

// What is wrong with a RoI, and in `counts` its samples along y and x (0 for none).
RoiFault CheckRoi(const float* roi, float spatial_scale, const AlignGrid& grid, int64_t n,
                  int64_t counts[2]);

// Computes the samples of a RoI that CheckRoi finds nothing wrong with; reuses memory of the last.
void ComputeSamples(const float* roi, float spatial_scale, const AlignGrid& grid, int64_t h,
                    int64_t w, RoiSamples* samples);

// As the kernels take it; the samples stay where they are.
AlignRoi ForKernel(const RoiSamples& samples, const AlignGrid& grid, int64_t w, int64_t c);

}  // namespace keras_frcnn

#endif  // KERAS_FRCNN_ROI_ALIGN_SAMPLES_H_
