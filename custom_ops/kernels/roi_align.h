// RoIAlign on plain pointers. What is computed is defined in docs/roi_align.md.
//
// Shape letters: N images, H x W cells of a feature map, C channels, K RoIs, PH x PW bins.
// No TensorFlow header is included here or in the kernels.
//
// Everything about a RoI but its values factors by axis: which samples of a bin lie inside the map,
// the two cells that each reads, their weights. So a RoI's samples are two short tables, and a
// kernel walks their product.

#ifndef KERAS_FRCNN_ROI_ALIGN_H_
#define KERAS_FRCNN_ROI_ALIGN_H_

#include <cstdint>

#include "roi_pool.h"

namespace keras_frcnn {

struct AlignGrid {
  int64_t ph, pw;
  int64_t sampling_ratio;  // samples of a bin along an axis; 0 for one a cell
  bool aligned;            // whether the centre of cell i is at i + 0.5, and not at i
};

// A sample's place on one axis.
struct AxisSample {
  int32_t low, high;             // the cells it lies between
  float low_weight, high_weight;
};

// The samples of a RoI on a map of rows of W cells: along y those of bin row p are [first_y[p],
// first_y[p + 1]) of `y`, likewise along x. Samples outside the map are left out.
struct AlignRoi {
  int64_t ph, pw, w, c;
  int64_t count;  // what the sum of a bin is divided by
  const int32_t *first_y, *first_x;
  const AxisSample *y, *x;
};

// The kernels for one instruction set; tables are indexed by DType.
struct AlignKernels {
  // From the image [H, W, C] that the RoI lies in to its output [PH, PW, C].
  void (*align[kDTypeCount])(const AlignRoi& roi, const void* image, void* output);
  // Adds the gradient of an output [PH, PW, C] to the channels [begin, end) of the sums [H, W, C],
  // which are float64 for float64 features, else float32.
  void (*scatter[kDTypeCount])(const AlignRoi& roi, const void* grad_output, int64_t begin,
                               int64_t end, void* sum);
  // Rounds float32 sums [begin, end) to a half type; null for the types that are their own sum.
  void (*round_sum[kDTypeCount])(const float* sum, void* grad, int64_t begin, int64_t end);
};

// The kernels for the best instruction set that this processor has.
const AlignKernels& BestAlignKernels();

// All kernels in this binary that this processor can run, best first; ends with null.
const AlignKernels* const* AvailableAlignKernels();

}  // namespace keras_frcnn

#endif  // KERAS_FRCNN_ROI_ALIGN_H_
