// The CPU kernels, included once for each instruction set by a file that defines
// KERAS_FRCNN_ISA and is compiled with the flags of that set.
//
// Vectors are GCC's and Clang's own, as wide as the registers. Nothing from the standard library is
// called: an inline function of it, compiled here with AVX-512, could be the copy that the linker
// keeps for everybody.

#include <cstdint>

#include "cpu_types.h"
#include "roi_pool.h"

namespace keras_frcnn {
namespace KERAS_FRCNN_ISA {
namespace {

// How many accumulators leave room for what is loaded.
constexpr int kAccumulators = 8;

template <typename K>
struct Vector {
  typedef K Type __attribute__((vector_size(kRegisterBytes)));
  static constexpr int kLanes = kRegisterBytes / sizeof(K);
  static constexpr int kBits = 8 * sizeof(K);
  static constexpr K kLargest = static_cast<K>(~(static_cast<uint64_t>(1) << (kBits - 1)));

  static inline Type Splat(K k) { return k - Type{}; }
  static inline Type Load(const K* p) {
    Type v;
    __builtin_memcpy(&v, p, sizeof(v));
    return v;
  }
  // Integers in the order of the floats back to the bits of the floats.
  static inline Type Decode(Type v) { return v ^ ((v >> (kBits - 1)) & Splat(kLargest)); }
};

template <typename T>
bool Encode(const void* features, int64_t c, int64_t cell_stride, int64_t begin, int64_t end,
            void* keys) {
  using K = Key<T>;
  constexpr int kBits = 8 * sizeof(K);
  constexpr K kLargest = Vector<K>::kLargest;
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

// The cells of one bin.
template <typename K>
struct Cells {
  const K* first;  // the first channel wanted of the top left cell
  int64_t row_stride, cell_stride;
  int32_t rows, columns;
  int32_t position, row_length;  // y * W + x of the top left cell, and W
};

// The maxima of kCount vectors of channels over one bin.
template <typename T, int kCount>
struct MaximumOnly {
  static constexpr int kChannels = kCount * Vector<Key<T>>::kLanes;

  static inline void PoolBin(Cells<Key<T>> cells, Key<T>* output, int32_t*) {
    using V = Vector<Key<T>>;
    typename V::Type best[kCount];
    for (int i = 0; i < kCount; ++i) best[i] = V::Load(cells.first + i * V::kLanes);
    for (int32_t y = 0; y < cells.rows; ++y, cells.first += cells.row_stride) {
      const Key<T>* cell = cells.first;
      for (int32_t x = 0; x < cells.columns; ++x, cell += cells.cell_stride) {
        for (int i = 0; i < kCount; ++i) {
          const typename V::Type key = V::Load(cell + i * V::kLanes);
          best[i] = key > best[i] ? key : best[i];
        }
      }
    }
    for (int i = 0; i < kCount; ++i) {
      const typename V::Type bits = V::Decode(best[i]);
      __builtin_memcpy(output + i * V::kLanes, &bits, sizeof(bits));
    }
  }
};

// The first maxima with their positions. Keys are widened to the width of a position, or positions
// to that of a key. With kZeros the keys -1 and 0, the two zeros, count as equal.
template <typename T, int kCount, bool kZeros>
struct FirstMaximum {
  using Wide = decltype(Key<T>{} + int32_t{});
  using V = Vector<Wide>;
  static constexpr int kChannels = kCount * V::kLanes;

  static inline void PoolBin(Cells<Key<T>> cells, Key<T>* output, int32_t* argmax) {
    typedef Key<T> KeyVector __attribute__((vector_size(V::kLanes * sizeof(Key<T>))));
    typedef int32_t PositionVector __attribute__((vector_size(V::kLanes * sizeof(int32_t))));
    typename V::Type best[kCount], best_key[kCount], first[kCount];
    for (int i = 0; i < kCount; ++i) {
      best[i] = best_key[i] = V::Splat(T::kLowest);
      first[i] = V::Splat(-1);
    }
    for (int32_t y = 0; y < cells.rows; ++y, cells.first += cells.row_stride) {
      const Key<T>* cell = cells.first;
      for (int32_t x = 0; x < cells.columns; ++x, cell += cells.cell_stride) {
        const typename V::Type here = V::Splat(cells.position + y * cells.row_length + x);
        for (int i = 0; i < kCount; ++i) {
          KeyVector narrow;
          __builtin_memcpy(&narrow, cell + i * V::kLanes, sizeof(narrow));
          const typename V::Type key = __builtin_convertvector(narrow, typename V::Type);
          const typename V::Type comparable = kZeros ? key - (key == -1) : key;
          const auto greater = comparable > best[i];
          best[i] = greater ? comparable : best[i];
          if (kZeros) best_key[i] = greater ? key : best_key[i];
          first[i] = greater ? here : first[i];
        }
      }
    }
    for (int i = 0; i < kCount; ++i) {
      const KeyVector key = __builtin_convertvector(kZeros ? best_key[i] : best[i], KeyVector);
      const KeyVector bits =
          key ^ ((key >> (8 * sizeof(Key<T>) - 1)) & Vector<Key<T>>::kLargest);
      __builtin_memcpy(output + i * V::kLanes, &bits, sizeof(bits));
      if (argmax) {
        const PositionVector position = __builtin_convertvector(first[i], PositionVector);
        __builtin_memcpy(argmax + i * V::kLanes, &position, sizeof(position));
      }
    }
  }
};

// Pools the RoIs [begin, end), as many channels at a time as Block does, then as One does.
template <typename T, typename Block, typename One>
void PoolRois(const PoolArgs& args, int64_t begin, int64_t end) {
  using K = Key<T>;
  const RoiPoolShape& s = args.shape;
  const int64_t row_stride = s.w * args.cell_stride;
  const int32_t* bins = args.bins + begin * BinsPerRoi(s);
  for (int64_t k = begin; k < end; ++k, bins += BinsPerRoi(s)) {
    int64_t at = k * args.output_stride;
    const K* image = static_cast<const K*>(args.keys) + bins[0] * s.h * row_stride;
    const int32_t *ys = bins + 1, *xs = ys + 2 * s.ph;
    for (int64_t bin = 0; bin < s.ph * s.pw; ++bin, at += s.c) {
      const int32_t *y = ys + 2 * (bin / s.pw), *x = xs + 2 * (bin % s.pw);
      K* output = static_cast<K*>(args.output) + at;
      int32_t* argmax = args.argmax ? args.argmax + at : nullptr;
      if (y[1] <= y[0] || x[1] <= x[0]) {
        __builtin_memset(output, 0, s.c * sizeof(K));
        if (argmax) __builtin_memset(argmax, -1, s.c * sizeof(int32_t));
        continue;
      }
      Cells<K> cells = {image + y[0] * row_stride + x[0] * args.cell_stride,
                        row_stride,
                        args.cell_stride,
                        y[1] - y[0],
                        x[1] - x[0],
                        static_cast<int32_t>(y[0] * s.w + x[0]),
                        static_cast<int32_t>(s.w)};
      int64_t left = s.c;
      for (; left >= Block::kChannels; left -= Block::kChannels) {
        Block::PoolBin(cells, output, argmax);
        cells.first += Block::kChannels;
        output += Block::kChannels;
        if (argmax) argmax += Block::kChannels;
      }
      for (; left > 0; left -= One::kChannels) {
        if (left >= One::kChannels) {
          One::PoolBin(cells, output, argmax);
        } else {  // the keys of a cell are padded to whole vectors, the output is not
          K last_output[One::kChannels];
          int32_t last_argmax[One::kChannels] = {};
          One::PoolBin(cells, last_output, last_argmax);
          __builtin_memcpy(output, last_output, left * sizeof(K));
          if (argmax) __builtin_memcpy(argmax, last_argmax, left * sizeof(int32_t));
        }
        cells.first += One::kChannels;
        output += One::kChannels;
        if (argmax) argmax += One::kChannels;
      }
    }
  }
}

template <typename T>
void Pool(const PoolArgs& args, int64_t begin, int64_t end) {
  PoolRois<T, MaximumOnly<T, kAccumulators>, MaximumOnly<T, 1>>(args, begin, end);
}

template <typename T, bool kZeros>
void PoolFirst(const PoolArgs& args, int64_t begin, int64_t end) {
  PoolRois<T, FirstMaximum<T, kAccumulators / 2, kZeros>, FirstMaximum<T, 1, kZeros>>(args, begin,
                                                                                     end);
}

template <typename T>
void Scatter(const ScatterArgs& args, int64_t begin, int64_t end) {
  const RoiPoolShape& s = args.shape;
  const uint32_t cells = static_cast<uint32_t>(s.h * s.w);
  int64_t at = 0;
  for (int64_t k = 0; k < s.k; ++k) {
    const int64_t n = static_cast<int64_t>(args.rois[5 * k]);
    typename T::Sum* image = static_cast<typename T::Sum*>(args.sum) + n * s.h * s.w * s.c;
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
    {PoolFirst<Float16, false>, PoolFirst<BFloat16, false>, PoolFirst<Float32, false>,
     PoolFirst<Float64, false>},
    {PoolFirst<Float16, true>, PoolFirst<BFloat16, true>, PoolFirst<Float32, true>,
     PoolFirst<Float64, true>},
    {Scatter<Float16>, Scatter<BFloat16>, Scatter<Float32>, Scatter<Float64>},
    {RoundSum<Float16>, RoundSum<BFloat16>, nullptr, nullptr},
};

}  // namespace KERAS_FRCNN_ISA
}  // namespace keras_frcnn
