// A RoI's samples as tables; see roi_align.h. Apart from it because the kernels must not meet the
// standard library.

#ifndef KERAS_FRCNN_ROI_ALIGN_SAMPLES_H_
#define KERAS_FRCNN_ROI_ALIGN_SAMPLES_H_

#include <cstdint>
#include <vector>

#include "roi_align.h"
#include "roi_align_axis.h"

namespace keras_frcnn {

// The samples of a RoI on one axis that lie inside the map: bin p has [first[p], first[p + 1]).
struct AxisSamples {
  std::vector<int32_t> first;
  std::vector<AxisSample> samples;
};

// The samples of one RoI on a map of H x W cells.
struct RoiSamples {
  int64_t count;  // what the sum of a bin is divided by
  AxisSamples y, x;
};

// Computes the samples of a RoI; reuses memory of the last.
void ComputeSamples(const PlacedRoi& roi, const AlignGrid& grid, int64_t h, int64_t w,
                    RoiSamples* samples);

// As the kernels take it; the samples stay where they are.
AlignRoi ForKernel(const RoiSamples& samples, const AlignGrid& grid, int64_t w, int64_t c);

}  // namespace keras_frcnn

#endif  // KERAS_FRCNN_ROI_ALIGN_SAMPLES_H_
