// RoI max pooling on plain pointers. What is computed is defined in docs/roi_pool.md.
//
// Shape letters: N images, H x W cells of the feature map, C channels, K RoIs, PH x PW bins.
// No TensorFlow header is included here or in the kernels.
//
// The kernels compare integers, not floats: a feature becomes a signed integer ("key") of its own
// width, in the order of the floats, with NaN and -inf turned into the lowest finite number. So
// no comparison depends on the processor's handling of NaN, signed zeros or subnormal numbers, and
// one integer kernel a width serves every type.

#ifndef KERAS_FRCNN_ROI_POOL_H_
#define KERAS_FRCNN_ROI_POOL_H_

#include <cstdint>

// Functions that the CUDA kernels use too, and tests run on the host.
#ifdef __CUDACC__
#define KERAS_FRCNN_HOST_DEVICE __host__ __device__
#else
#define KERAS_FRCNN_HOST_DEVICE
#endif

namespace keras_frcnn {

enum class DType { kFloat16, kBFloat16, kFloat32, kFloat64 };
constexpr int kDTypeCount = 4;

struct RoiPoolShape {
  int64_t n, h, w, c, k, ph, pw;
};

// The bins of one RoI are 1 + 2 * (PH + PW) integers: the image, the first row and the row after
// the last of each of the PH bin rows, then the same for the PW bin columns.
KERAS_FRCNN_HOST_DEVICE inline int64_t BinsPerRoi(const RoiPoolShape& s) {
  return 1 + 2 * (s.ph + s.pw);
}

// The first of K rows (batch_index, x1, y1, x2, y2) whose batch index is outside [0, N) or whose
// corners are not finite; K if there is none.
int64_t FirstBadRoi(const float* rois, float spatial_scale, int64_t n, int64_t k);

// Computes the bins of all RoIs, rois being [K, 5]. Returns what FirstBadRoi does, and has computed
// the bins before that row.
int64_t ComputeBins(const float* rois, float spatial_scale, const RoiPoolShape& shape,
                    int32_t* bins);

// The channels of a cell of keys are padded to a whole number of vectors.
constexpr int64_t kVectorBytes = 64;

struct PoolArgs {
  RoiPoolShape shape;
  const void* keys;     // [N, H, W, channel_stride]
  int64_t cell_stride;  // keys from one cell to the next
  const int32_t* bins;  // [K, BinsPerRoi]
  void* output;         // K times PH x PW x C
  int32_t* argmax;      // likewise, or null where it is not wanted
  int64_t output_stride;  // elements from the output of one RoI to that of the next
};

struct ScatterArgs {
  RoiPoolShape shape;
  const void* grad_output;  // [K, PH, PW, C]
  const int32_t* argmax;    // [K, PH, PW, C]
  const float* rois;        // [K, 5]
  void* sum;  // [N, H, W, C], zeros at first: float64 for float64 features, else float32
};

// The same functions compiled for one instruction set; tables are indexed by DType.
struct CpuKernels {
  const char* name;
  // Keys of the cells [begin, end) of the map. Returns whether one of them is -0.0.
  bool (*encode[kDTypeCount])(const void* features, int64_t c, int64_t cell_stride, int64_t begin,
                              int64_t end, void* keys);
  // Pools the RoIs [begin, end): without argmax, with it, and with it where the map holds -0.0.
  // Which of two equal zeros came first is known only from positions, so the first two are wrong
  // for such a map, and the last one works without args.argmax too.
  void (*pool[kDTypeCount])(const PoolArgs& args, int64_t begin, int64_t end);
  void (*pool_argmax[kDTypeCount])(const PoolArgs& args, int64_t begin, int64_t end);
  void (*pool_zeros[kDTypeCount])(const PoolArgs& args, int64_t begin, int64_t end);
  // Adds the gradients of the channels [begin, end) at their argmax, in (k, ph, pw) order.
  void (*scatter[kDTypeCount])(const ScatterArgs& args, int64_t begin, int64_t end);
  // Rounds float32 sums [begin, end) to a half type; null for the types that are their own sum.
  void (*round_sum[kDTypeCount])(const float* sum, void* grad, int64_t begin, int64_t end);
};

// The kernels for the best instruction set that this processor has.
const CpuKernels& BestCpuKernels();

// All kernels in this binary that this processor can run, best first; ends with null.
const CpuKernels* const* AvailableCpuKernels();

}  // namespace keras_frcnn

#endif  // KERAS_FRCNN_ROI_POOL_H_
