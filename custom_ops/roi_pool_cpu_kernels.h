// The CPU kernels, included once for each instruction set by a file that defines
// KERAS_FRCNN_ISA and is compiled with the flags of that set.
//
// Vectors are GCC's and Clang's own: 64 bytes, which the compiler splits where registers are
// narrower. Nothing from the standard library is called: an inline function of it, compiled here
// with AVX-512, could be the copy that the linker keeps for everybody.

#include <cstdint>

#include "roi_pool.h"

namespace keras_frcnn {
namespace KERAS_FRCNN_ISA {
namespace {

// Bits of a type as an integer; the keys of +inf and of the lowest finite number.
struct Float16 {
  using Key = int16_t;
  using Sum = float;
  static constexpr Key kInfinity = 0x7c00, kLowest = static_cast<Key>(0x8400);
  static float ToSum(Key bits) {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
    const uint32_t rest = static_cast<uint32_t>(bits & 0x7fff) << 13;
    const bool special = rest >= (0x7c00u << 13);  // infinity or NaN
    // A multiplication moves the exponent's bias and makes subnormal halves normal floats.
    float magnitude = Bits<float>(rest) * Bits<float>(0x77800000u);  // 2^112
    if (special) magnitude = Bits<float>(rest | 0x7f800000u);
    return Bits<float>(Bits<uint32_t>(magnitude) | sign);
  }
  static Key FromSum(float value) {
    const uint32_t bits = Bits<uint32_t>(value);
    const uint32_t sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
    uint32_t half;
    if (magnitude > 0x7f800000u) {
      half = 0x7e00;  // NaN
    } else if (magnitude >= 0x477ff000u) {
      half = 0x7c00;  // rounds to infinity
    } else if (magnitude < 0x38800000u) {
      // Subnormal halves: adding 0.5 leaves the rounded multiple of 2^-24 in the last bits.
      half = Bits<uint32_t>(Bits<float>(magnitude) + 0.5f) - 0x3f000000u;
    } else {
      half = (magnitude - 0x38000000u + 0xfff + ((magnitude >> 13) & 1)) >> 13;
    }
    return static_cast<Key>(sign | half);
  }
  template <typename To, typename From>
  static To Bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "same size");
    To to;
    __builtin_memcpy(&to, &from, sizeof(to));
    return to;
  }
};

struct BFloat16 {
  using Key = int16_t;
  using Sum = float;
  static constexpr Key kInfinity = 0x7f80, kLowest = static_cast<Key>(0x8080);
  static float ToSum(Key bits) {
    return Float16::Bits<float>(static_cast<uint32_t>(static_cast<uint16_t>(bits)) << 16);
  }
  static Key FromSum(float value) {
    const uint32_t bits = Float16::Bits<uint32_t>(value);
    if ((bits & 0x7fffffff) > 0x7f800000u) return 0x7fc0;  // NaN
    return static_cast<Key>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
  }
};

struct Float32 {
  using Key = int32_t;
  using Sum = float;
  static constexpr Key kInfinity = 0x7f800000, kLowest = static_cast<Key>(0x80800000u);
  static float ToSum(Key bits) { return Float16::Bits<float>(bits); }
};

struct Float64 {
  using Key = int64_t;
  using Sum = double;
  static constexpr Key kInfinity = 0x7ff0000000000000;
  static constexpr Key kLowest = static_cast<Key>(0x8010000000000000u);
  static double ToSum(Key bits) { return Float16::Bits<double>(bits); }
};

template <typename T>
using Key = typename T::Key;

template <typename T>
constexpr int64_t kLanes = kVectorBytes / sizeof(Key<T>);

template <typename T>
struct Vector {
  using K = Key<T>;
  typedef K Type __attribute__((vector_size(kVectorBytes)));
  static constexpr int kBits = 8 * sizeof(K);
  static constexpr K kLargest = static_cast<K>(~(static_cast<uint64_t>(1) << (kBits - 1)));

  static inline Type Load(const K* p) {
    Type v;
    __builtin_memcpy(&v, p, sizeof(v));
    return v;
  }
  static inline void Store(K* p, Type v) { __builtin_memcpy(p, &v, sizeof(v)); }
  static inline Type Splat(K k) { return k - Type{}; }
  static inline Type Decode(Type v) { return v ^ ((v >> (kBits - 1)) & Splat(kLargest)); }
  static inline Type Max(Type a, Type b) { return a > b ? a : b; }
};

template <typename T>
bool Encode(const void* features, int64_t c, int64_t cell_stride, int64_t begin, int64_t end,
            void* keys) {
  using K = Key<T>;
  constexpr int kBits = 8 * sizeof(K);
  constexpr K kLargest = Vector<T>::kLargest;
  K any_negative_zero = 0;
  for (int64_t cell = begin; cell < end; ++cell) {
    const K* from = static_cast<const K*>(features) + cell * c;
    K* to = static_cast<K*>(keys) + cell * cell_stride;
    for (int64_t i = 0; i < c; ++i) {
      const K bits = from[i];
      K key = static_cast<K>(bits ^ ((bits >> (kBits - 1)) & kLargest));
      key = key < T::kLowest ? T::kLowest : key;    // -inf and negative NaN
      key = key > T::kInfinity ? T::kLowest : key;  // positive NaN
      any_negative_zero = static_cast<K>(any_negative_zero | (key == -1));
      to[i] = key;
    }
    for (int64_t i = c; i < cell_stride; ++i) to[i] = 0;
  }
  return any_negative_zero != 0;
}

// One bin of one RoI, and where its results go.
struct Bin {
  int32_t top, bottom, left, right;
  bool empty() const { return bottom <= top || right <= left; }
};

// The maxima of `kCount` vectors of channels over one bin.
template <typename T, int kCount>
inline void PoolBin(const Key<T>* cells, int64_t row_stride, int64_t cell_stride, int32_t rows,
                    int32_t columns, Key<T>* output) {
  using V = Vector<T>;
  typename V::Type best[kCount];
  for (int i = 0; i < kCount; ++i) best[i] = V::Load(cells + i * kLanes<T>);
  for (int32_t y = 0; y < rows; ++y, cells += row_stride) {
    const Key<T>* cell = cells;
    for (int32_t x = 0; x < columns; ++x, cell += cell_stride) {
      for (int i = 0; i < kCount; ++i) {
        best[i] = V::Max(V::Load(cell + i * kLanes<T>), best[i]);
      }
    }
  }
  for (int i = 0; i < kCount; ++i) V::Store(output + i * kLanes<T>, V::Decode(best[i]));
}

template <typename T>
void Pool(const PoolArgs& args, int64_t begin, int64_t end) {
  using K = Key<T>;
  const RoiPoolShape& s = args.shape;
  const int64_t stride = args.cell_stride, row_stride = s.w * stride;
  constexpr int64_t kL = kLanes<T>;
  const int32_t* bins = args.bins + begin * BinsPerRoi(s);
  K* output = static_cast<K*>(args.output) + begin * s.ph * s.pw * s.c;
  for (int64_t k = begin; k < end; ++k, bins += BinsPerRoi(s)) {
    const K* image = static_cast<const K*>(args.keys) + bins[0] * s.h * row_stride;
    const int32_t *ys = bins + 1, *xs = ys + 2 * s.ph;
    for (int64_t ph = 0; ph < s.ph; ++ph) {
      for (int64_t pw = 0; pw < s.pw; ++pw, output += s.c) {
        const Bin bin = {ys[2 * ph], ys[2 * ph + 1], xs[2 * pw], xs[2 * pw + 1]};
        if (bin.empty()) {
          for (int64_t c = 0; c < s.c; ++c) output[c] = 0;
          continue;
        }
        const int32_t rows = bin.bottom - bin.top, columns = bin.right - bin.left;
        const K* cells = image + bin.top * row_stride + bin.left * stride;
        int64_t c = 0;
        for (; c + 8 * kL <= s.c; c += 8 * kL) {
          PoolBin<T, 8>(cells + c, row_stride, stride, rows, columns, output + c);
        }
        for (; c + kL <= s.c; c += kL) {
          PoolBin<T, 1>(cells + c, row_stride, stride, rows, columns, output + c);
        }
        if (c < s.c) {
          alignas(kVectorBytes) K last[kL];
          PoolBin<T, 1>(cells + c, row_stride, stride, rows, columns, last);
          __builtin_memcpy(output + c, last, (s.c - c) * sizeof(K));
        }
      }
    }
  }
}

// Like Pool, with the position of the first maximum. Keys -1 and 0, the two zeros, are equal.
template <typename T>
void PoolFirst(const PoolArgs& args, int64_t begin, int64_t end) {
  using K = Key<T>;
  // As many lanes as positions fit a vector, or keys where they are wider.
  constexpr int kL = sizeof(K) == 8 ? 8 : 16;
  typedef K KeyVector __attribute__((vector_size(kL * sizeof(K))));
  typedef int32_t PositionVector __attribute__((vector_size(kL * sizeof(int32_t))));
  constexpr K kLargest = Vector<T>::kLargest;
  const RoiPoolShape& s = args.shape;
  const int64_t stride = args.cell_stride, row_stride = s.w * stride;
  const int32_t* bins = args.bins + begin * BinsPerRoi(s);
  int64_t at = begin * s.ph * s.pw * s.c;
  for (int64_t k = begin; k < end; ++k, bins += BinsPerRoi(s)) {
    const K* image = static_cast<const K*>(args.keys) + bins[0] * s.h * row_stride;
    const int32_t *ys = bins + 1, *xs = ys + 2 * s.ph;
    for (int64_t ph = 0; ph < s.ph; ++ph) {
      for (int64_t pw = 0; pw < s.pw; ++pw, at += s.c) {
        const Bin bin = {ys[2 * ph], ys[2 * ph + 1], xs[2 * pw], xs[2 * pw + 1]};
        K* output = static_cast<K*>(args.output) + at;
        if (bin.empty()) {
          for (int64_t c = 0; c < s.c; ++c) output[c] = 0;
          for (int64_t c = 0; args.argmax && c < s.c; ++c) args.argmax[at + c] = -1;
          continue;
        }
        for (int64_t c = 0; c < s.c; c += kL) {
          KeyVector best = T::kLowest - KeyVector{}, best_key = best;
          PositionVector argmax = PositionVector{} - 1;
          for (int32_t y = bin.top; y < bin.bottom; ++y) {
            for (int32_t x = bin.left; x < bin.right; ++x) {
              KeyVector key;
              __builtin_memcpy(&key, image + y * row_stride + x * stride + c, sizeof(key));
              const KeyVector comparable = key - (key == -1);
              const auto greater = comparable > best;
              best = greater ? comparable : best;
              best_key = greater ? key : best_key;
              const PositionVector here = PositionVector{} + static_cast<int32_t>(y * s.w + x);
              const PositionVector taken = __builtin_convertvector(greater, PositionVector);
              argmax = (here & taken) | (argmax & ~taken);
            }
          }
          best_key ^= (best_key >> (8 * sizeof(K) - 1)) & kLargest;
          const int64_t channels = s.c - c < kL ? s.c - c : kL;
          __builtin_memcpy(output + c, &best_key, channels * sizeof(K));
          if (args.argmax) {
            __builtin_memcpy(args.argmax + at + c, &argmax, channels * sizeof(int32_t));
          }
        }
      }
    }
  }
}

template <typename T>
void Scatter(const ScatterArgs& args, int64_t begin, int64_t end) {
  const RoiPoolShape& s = args.shape;
  const uint32_t cells = static_cast<uint32_t>(s.h * s.w);
  int64_t at = 0;
  for (int64_t k = 0; k < s.k; ++k) {
    typename T::Sum* image =
        static_cast<typename T::Sum*>(args.sum) + static_cast<int64_t>(args.rois[5 * k]) * s.h * s.w * s.c;
    for (int64_t bin = 0; bin < s.ph * s.pw; ++bin, at += s.c) {
      const Key<T>* grad = static_cast<const Key<T>*>(args.grad_output) + at;
      for (int64_t c = begin; c < end; ++c) {
        const uint32_t position = static_cast<uint32_t>(args.argmax[at + c]);
        if (position < cells) image[position * s.c + c] += T::ToSum(grad[c]);  // -1 is not
      }
    }
  }
}

template <typename T>
void RoundSum(const float* sum, void* grad, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) static_cast<Key<T>*>(grad)[i] = T::FromSum(sum[i]);
}

}  // namespace

#define KERAS_FRCNN_STRING(x) #x
#define KERAS_FRCNN_NAME(x) KERAS_FRCNN_STRING(x)

extern const CpuKernels kKernels;
const CpuKernels kKernels = {
    KERAS_FRCNN_NAME(KERAS_FRCNN_ISA),
    {Encode<Float16>, Encode<BFloat16>, Encode<Float32>, Encode<Float64>},
    {Pool<Float16>, Pool<BFloat16>, Pool<Float32>, Pool<Float64>},
    {PoolFirst<Float16>, PoolFirst<BFloat16>, PoolFirst<Float32>, PoolFirst<Float64>},
    {Scatter<Float16>, Scatter<BFloat16>, Scatter<Float32>, Scatter<Float64>},
    {RoundSum<Float16>, RoundSum<BFloat16>, nullptr, nullptr},
};

}  // namespace KERAS_FRCNN_ISA
}  // namespace keras_frcnn
