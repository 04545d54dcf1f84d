// The CUDA kernels, as what one thread of a launch does. Written for device and host: a test plays
// all threads on the host and compares with the NumPy reference.
//
// The lanes of a warp are neighbouring channels of the same cells, so memory is read and written in
// whole lines, and all lanes of a warp take the same branches. All loops go around the grid, so a
// launch may have fewer threads than there is work.

#ifndef KERAS_FRCNN_ROI_POOL_CUDA_THREADS_H_
#define KERAS_FRCNN_ROI_POOL_CUDA_THREADS_H_

#include <cstdint>

#include "cuda_types.h"
#include "roi_pool_bins.h"
#include "roi_pool_cuda.h"

namespace keras_frcnn {
namespace cuda {

// The image of a row of rois that is known to be good.
KERAS_FRCNN_HOST_DEVICE inline int64_t Image(const float* rois, int64_t k) {
  return static_cast<int64_t>(rois[5 * k]);
}

// A thread for each bin row and each bin column of each RoI.
struct ComputeBins {
  static constexpr const char* kName = "bins";
  static constexpr int kBlocksAtOnce = 1;

  RoiPoolShape shape;
  const float* rois;
  float spatial_scale;
  int32_t* bins;
  int64_t* first_bad;

  KERAS_FRCNN_HOST_DEVICE void operator()(const Thread& thread) const {
    const int64_t axes = shape.ph + shape.pw;
    for (int64_t i = thread.Index(); i < shape.k * axes; i += thread.Count()) {
      const int64_t k = i / axes, p = i % axes;
      const float* roi = rois + 5 * k;
      int32_t* const roi_bins = bins + k * BinsPerRoi(shape);
      const Corners corners = ScaleCorners(roi, spatial_scale);
      const bool good = IsGoodRoi(roi, corners, shape.n);
      if (p == 0) {
        roi_bins[0] = good ? static_cast<int32_t>(roi[0]) : 0;
        if (!good && first_bad) AtomicMin(first_bad, k);
      }
      int32_t* const bounds = roi_bins + 1 + 2 * p;
      if (!good) {
        bounds[0] = bounds[1] = 0;
      } else if (p < shape.ph) {
        const float bin = BinSize(corners.y1, corners.y2, shape.ph);
        BinBounds(corners.y1, bin, p, shape.h, bounds);
      } else {
        const float bin = BinSize(corners.x1, corners.x2, shape.pw);
        BinBounds(corners.x1, bin, p - shape.ph, shape.w, bounds);
      }
    }
  }
};

// Keeps the greater of `best` and a cell's `next` in each channel of a word, and where it lies.
template <typename T, bool kArgmax>
KERAS_FRCNN_HOST_DEVICE inline void Take(typename T::Word next, int32_t here,
                                         typename T::Word* best, int32_t* first) {
  if constexpr (sizeof(typename T::Word) == sizeof(typename T::Element)) {
    const bool greater = T::Greater(next, *best);
    *best = greater ? next : *best;
    if (kArgmax) *first = greater ? here : *first;
  } else {
    const uint32_t greater = T::Greater(next, *best);
    *best = (next & greater) | (*best & ~greater);
    if (kArgmax) {
      first[0] = greater & 0xffffu ? here : first[0];
      first[1] = greater & 0xffff0000u ? here : first[1];
    }
  }
}

// A warp for the bins of a RoI and a slice of channels. `kElements` neighbouring channels belong to
// a lane: 16 bytes of them, or one where cells are not aligned to that.
//
// Neighbouring bins share cells, so consecutive items, which are the bins of one RoI and slice, go
// to one block: its warps find the shared cells in the multiprocessor's own cache.
template <typename T, int kElements, bool kArgmax>
struct Pool {
  static constexpr const char* kName = kArgmax ? "pool with argmax" : "pool";
  // As many as leave enough registers.
  static constexpr int kBlocksAtOnce = kArgmax && (kElements == 2 || kElements == 8) ? 4 : 5;

  using Element = typename T::Element;
  using Word = typename T::Word;
  static constexpr int kPerWord = sizeof(Word) / sizeof(Element);
  static constexpr int kWords = kElements < kPerWord ? 1 : kElements / kPerWord;

  CudaPoolArgs args;
  int64_t slices;     // of the channels
  int64_t items;      // K * slices * bins
  int32_t per_block;  // consecutive items, a multiple of kWarps

  KERAS_FRCNN_HOST_DEVICE void operator()(const Thread& thread) const {
    const uint32_t bins = static_cast<uint32_t>(args.shape.ph * args.shape.pw);
    for (int64_t begin = thread.block * per_block; begin < items;
         begin += thread.blocks * per_block) {
      const int64_t end = begin + per_block < items ? begin + per_block : items;
      const int64_t first = begin + thread.warp;
      int64_t slice = first / bins % slices, k = first / bins / slices;
      uint32_t bin = static_cast<uint32_t>(first % bins);
      for (int64_t item = first; item < end; item += kWarps) {
        const int64_t c = (slice * kLanes + thread.lane) * kElements;
        if (c < args.shape.c) PoolBin(k, bin, c);
        for (bin += kWarps; bin >= bins; bin -= bins) {
          if (++slice == slices) slice = 0, ++k;
        }
      }
    }
  }

  KERAS_FRCNN_HOST_DEVICE void PoolBin(int64_t k, uint32_t bin, int64_t c) const {
    const RoiPoolShape& s = args.shape;
    const uint32_t pw = static_cast<uint32_t>(s.pw);
    const int32_t* const roi = args.bins + k * BinsPerRoi(s);
    const int32_t* const rows = roi + 1 + 2 * (bin / pw);
    const int32_t* const columns = roi + 1 + 2 * (s.ph + bin % pw);
    const int32_t top = rows[0], bottom = rows[1], left = columns[0], right = columns[1];

    Pack<Word, kWords> best;
    Pack<int32_t, kWords * kPerWord> argmax;
    const bool empty = bottom <= top || right <= left;
    for (int i = 0; i < kWords; ++i) best.at[i] = empty ? Word{0} : T::kLowest;
    for (int i = 0; i < kWords * kPerWord; ++i) argmax.at[i] = -1;

    const int32_t w = static_cast<int32_t>(s.w);
    const Element* line = static_cast<const Element*>(args.features) + c +
                          ((roi[0] * s.h + top) * s.w + left) * s.c;
    for (int32_t y = top; y < bottom; ++y, line += s.w * s.c) {
      const Element* cell = line;
      for (int32_t x = left; x < right; ++x, cell += s.c) {
        const Pack<Word, kWords> next = Load(cell);
        const int32_t here = y * w + x;
        for (int i = 0; i < kWords; ++i) {
          Take<T, kArgmax>(next.at[i], here, best.at + i, argmax.at + i * kPerWord);
        }
      }
    }

    const int64_t to = k * args.output_stride + bin * s.c + c;
    Store(best, static_cast<Element*>(args.output) + to);
    if constexpr (kArgmax) {
      Pack<int32_t, kElements> positions;
      for (int i = 0; i < kElements; ++i) positions.at[i] = argmax.at[i];
      Write(positions, args.argmax + to);
    }
  }

  // A lone element of a half type is the lower half of its word.
  KERAS_FRCNN_HOST_DEVICE static Pack<Word, kWords> Load(const Element* from) {
    if constexpr (kElements >= kPerWord) {
      return Read<Pack<Word, kWords>>(from);
    } else {
      return {{*from}};
    }
  }
  KERAS_FRCNN_HOST_DEVICE static void Store(const Pack<Word, kWords>& words, Element* to) {
    if constexpr (kElements >= kPerWord) {
      Write(words, to);
    } else {
      *to = static_cast<Element>(words.at[0]);
    }
  }
};

}  // namespace cuda
}  // namespace keras_frcnn

#endif  // KERAS_FRCNN_ROI_POOL_CUDA_THREADS_H_
