// RoIAlign's CPU kernels, included once for each instruction set by a file that defines
// KERAS_FRCNN_ISA and is compiled with the flags of that set.
//
// A vector holds the sums of neighbouring channels, so that each channel is summed in the order of
// the definition whatever the width of the registers. Nothing from the standard library is called
// (roi_pool_cpu_kernels.h says why).

#include <cstdint>

#include "cpu_types.h"
#include "roi_align.h"

namespace keras_frcnn {
namespace KERAS_FRCNN_ISA {
namespace {

// Vectors of sums that leave room for what is loaded.
constexpr int kSumVectors = 4;

typedef float FloatVector __attribute__((vector_size(kRegisterBytes)));
typedef uint32_t BitVector __attribute__((vector_size(kRegisterBytes)));
typedef uint16_t HalfVector __attribute__((vector_size(kRegisterBytes / 2)));

inline FloatVector AsFloats(BitVector bits) { return reinterpret_cast<FloatVector>(bits); }
inline BitVector AsBits(FloatVector floats) { return reinterpret_cast<BitVector>(floats); }

// ToSum and FromSum of the half types, for a whole register.
inline FloatVector ToSums(BitVector bits, BFloat16) { return AsFloats(bits << 16); }

inline FloatVector ToSums(BitVector bits, Float16) {
  const BitVector sign = (bits & 0x8000u) << 16, rest = (bits & 0x7fffu) << 13;
  const BitVector subnormal =
      AsBits(AsFloats(rest + 0x38800000u) - AsFloats(BitVector{} + 0x38800000u));
  BitVector magnitude = rest + 0x38000000u;
  magnitude = rest < (0x0400u << 13) ? subnormal : magnitude;
  magnitude = rest >= (0x7c00u << 13) ? rest | 0x7f800000u : magnitude;
  return AsFloats(magnitude | sign);
}

inline BitVector FromSums(FloatVector values, BFloat16) {
  const BitVector bits = AsBits(values);
  const BitVector rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return (bits & 0x7fffffffu) > 0x7f800000u ? BitVector{} + 0x7fc0u : rounded;
}

inline BitVector FromSums(FloatVector values, Float16) {
  const BitVector bits = AsBits(values);
  const BitVector sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
  const BitVector subnormal = AsBits(AsFloats(magnitude) + 0.5f) - 0x3f000000u;
  BitVector half = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  half = magnitude < 0x38800000u ? subnormal : half;
  half = magnitude >= 0x477ff000u ? BitVector{} + 0x7c00u : half;  // rounds to infinity
  half = magnitude > 0x7f800000u ? BitVector{} + 0x7e00u : half;   // NaN
  return half | sign;
}

// kLanes channels as the type that they are summed in.
template <typename T>
struct Lanes {
  using Sum = typename T::Sum;
  static constexpr int kLanes = kRegisterBytes / sizeof(Sum);
  typedef Sum Vector __attribute__((vector_size(kRegisterBytes)));

  static inline Vector Load(const Key<T>* from) {
    if constexpr (sizeof(Key<T>) == sizeof(Sum)) {
      Vector v;
      __builtin_memcpy(&v, from, sizeof(v));
      return v;
    } else {
      HalfVector narrow;
      __builtin_memcpy(&narrow, from, sizeof(narrow));
      return ToSums(__builtin_convertvector(narrow, BitVector), T());
    }
  }
  static inline void Store(Vector v, Key<T>* to) {
    if constexpr (sizeof(Key<T>) == sizeof(Sum)) {
      __builtin_memcpy(to, &v, sizeof(v));
    } else {
      const HalfVector narrow = __builtin_convertvector(FromSums(v, T()), HalfVector);
      __builtin_memcpy(to, &narrow, sizeof(narrow));
    }
  }
};

// The offsets and weights of a sample's four corners.
template <typename Sum>
struct Corners {
  int64_t at[4];
  Sum weight[4];

  Corners(const AlignRoi& r, const AxisSample& y, const AxisSample& x) {
    const int64_t low = y.low * r.w, high = y.high * r.w;
    const int64_t cells[4] = {low + x.low, low + x.high, high + x.low, high + x.high};
    // Products of float32, whatever is summed.
    const float weights[4] = {y.low_weight * x.low_weight, y.low_weight * x.high_weight,
                              y.high_weight * x.low_weight, y.high_weight * x.high_weight};
    for (int i = 0; i < 4; ++i) {
      at[i] = cells[i] * r.c;
      weight[i] = static_cast<Sum>(weights[i]);
    }
  }
};

// One bin of kCount vectors of channels, or of a single channel with kCount 0.
template <typename T, int kCount>
inline void AlignBin(const AlignRoi& r, const Key<T>* image, int64_t ph, int64_t pw,
                     Key<T>* output) {
  using Sum = typename T::Sum;
  using L = Lanes<T>;
  constexpr int kVectors = kCount ? kCount : 1;
  typename L::Vector sums[kVectors] = {};
  Sum sum = 0;
  for (int32_t i = r.first_y[ph]; i < r.first_y[ph + 1]; ++i) {
    for (int32_t j = r.first_x[pw]; j < r.first_x[pw + 1]; ++j) {
      const Corners<Sum> corners(r, r.y[i], r.x[j]);
      if constexpr (kCount == 0) {
        Sum value = corners.weight[0] * T::ToSum(image[corners.at[0]]);
        for (int k = 1; k < 4; ++k) value += corners.weight[k] * T::ToSum(image[corners.at[k]]);
        sum += value;
      } else {
        for (int v = 0; v < kCount; ++v) {
          const Key<T>* first = image + v * L::kLanes;
          typename L::Vector value = corners.weight[0] * L::Load(first + corners.at[0]);
          for (int k = 1; k < 4; ++k) {
            value += corners.weight[k] * L::Load(first + corners.at[k]);
          }
          sums[v] += value;
        }
      }
    }
  }
  const Sum count = static_cast<Sum>(r.count);
  if constexpr (kCount == 0) {
    sum /= count;
    if constexpr (sizeof(Key<T>) == sizeof(Sum)) {
      __builtin_memcpy(output, &sum, sizeof(sum));
    } else {
      *output = T::FromSum(sum);
    }
  } else {
    for (int v = 0; v < kCount; ++v) L::Store(sums[v] / count, output + v * L::kLanes);
  }
}

template <typename T>
void Align(const AlignRoi& r, const void* image, void* output) {
  constexpr int kLanes = Lanes<T>::kLanes;
  Key<T>* out = static_cast<Key<T>*>(output);
  for (int64_t ph = 0; ph < r.ph; ++ph) {
    for (int64_t pw = 0; pw < r.pw; ++pw) {
      const Key<T>* in = static_cast<const Key<T>*>(image);
      int64_t left = r.c;
      const auto advance = [&](int64_t channels) {
        in += channels;
        out += channels;
        left -= channels;
      };
      for (; left >= kSumVectors * kLanes; advance(kSumVectors * kLanes)) {
        AlignBin<T, kSumVectors>(r, in, ph, pw, out);
      }
      for (; left >= kLanes; advance(kLanes)) AlignBin<T, 1>(r, in, ph, pw, out);
      for (; left > 0; advance(1)) AlignBin<T, 0>(r, in, ph, pw, out);
    }
  }
}

// Adds g * weight / count to one corner of a sample, for the channels [begin, end).
template <typename T, bool kExact>
inline void AddCorner(const Key<T>* grad, typename T::Sum weight, typename T::Sum divisor,
                      int64_t begin, int64_t end, typename T::Sum* sum) {
  using L = Lanes<T>;
  using Vector = typename L::Vector;
  int64_t c = begin;
  for (; c + L::kLanes <= end; c += L::kLanes) {
    Vector total;
    __builtin_memcpy(&total, sum + c, sizeof(total));
    const Vector product = L::Load(grad + c) * weight;
    total += kExact ? product * divisor : product / divisor;
    __builtin_memcpy(sum + c, &total, sizeof(total));
  }
  for (; c < end; ++c) {
    const typename T::Sum product = T::ToSum(grad[c]) * weight;
    sum[c] += kExact ? product * divisor : product / divisor;
  }
}

// With kExact the divisor is a reciprocal: of a power of two it is exact, and so is the product.
template <typename T, bool kExact>
void ScatterBy(const AlignRoi& r, const void* grad_output, typename T::Sum divisor, int64_t begin,
               int64_t end, void* sum) {
  const Key<T>* grad = static_cast<const Key<T>*>(grad_output);
  typename T::Sum* image = static_cast<typename T::Sum*>(sum);
  for (int64_t ph = 0; ph < r.ph; ++ph) {
    for (int64_t pw = 0; pw < r.pw; ++pw, grad += r.c) {
      for (int32_t i = r.first_y[ph]; i < r.first_y[ph + 1]; ++i) {
        for (int32_t j = r.first_x[pw]; j < r.first_x[pw + 1]; ++j) {
          const Corners<typename T::Sum> corners(r, r.y[i], r.x[j]);
          for (int k = 0; k < 4; ++k) {
            AddCorner<T, kExact>(grad, corners.weight[k], divisor, begin, end,
                                 image + corners.at[k]);
          }
        }
      }
    }
  }
}

template <typename T>
void ScatterAligned(const AlignRoi& r, const void* grad_output, int64_t begin, int64_t end,
                    void* sum) {
  const auto count = static_cast<typename T::Sum>(r.count);
  if ((r.count & (r.count - 1)) == 0) {
    ScatterBy<T, true>(r, grad_output, 1 / count, begin, end, sum);
  } else {
    ScatterBy<T, false>(r, grad_output, count, begin, end, sum);
  }
}

template <typename T>
void RoundAligned(const float* sum, void* grad, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) static_cast<Key<T>*>(grad)[i] = T::FromSum(sum[i]);
}

}  // namespace

extern const AlignKernels kAlignKernels;
const AlignKernels kAlignKernels = {
    {Align<Float16>, Align<BFloat16>, Align<Float32>, Align<Float64>},
    {ScatterAligned<Float16>, ScatterAligned<BFloat16>, ScatterAligned<Float32>,
     ScatterAligned<Float64>},
    {RoundAligned<Float16>, RoundAligned<BFloat16>, nullptr, nullptr},
};

}  // namespace KERAS_FRCNN_ISA
}  // namespace keras_frcnn
