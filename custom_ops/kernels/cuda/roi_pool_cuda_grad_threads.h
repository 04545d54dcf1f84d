// The CUDA kernels of the gradient, as what one thread does; see roi_pool_cuda_threads.h.
//
// In no fixed order: ScatterGrad adds with atomic instructions, fed whole lines of grad_output.
//
// In (k, ph, pw) order: GatherGrad gives every cell of the map a warp for a slice of channels,
// which walks the bins that chose this cell and adds them up in registers. Nothing is shared, so
// there is nothing to lock, to zero beforehand, or to round in another pass, and the sums are those
// of the CPU bit for bit. To find those bins, BinBoxes and RoiBoxes first note the rectangle of
// cells that each bin, and each RoI, chose over all channels; a warp tests 32 of them at a time.
// The rectangles come from the argmax alone, so the gradient of a pyramid is no special case. A
// sort of (cell, bin) pairs would move all of K * PH * PW * C pairs several times instead; atomics
// on integers of fixed point would need the gradients' range.

#ifndef KERAS_FRCNN_ROI_POOL_CUDA_GRAD_THREADS_H_
#define KERAS_FRCNN_ROI_POOL_CUDA_GRAD_THREADS_H_

#include "roi_pool_cuda_threads.h"

namespace keras_frcnn {
namespace cuda {

// A warp for a run of bins of one RoI and 32 channels, a channel a lane: wider lanes would spread an
// atomic instruction over more lines of memory.
template <typename T>
struct ScatterGrad {
  static constexpr const char* kName = "scatter of the gradient";
  static constexpr int kBlocksAtOnce = 5;
  static constexpr int kRun = 8;  // bins, loaded all at once

  CudaGradArgs args;
  typename T::Sum* sum;
  int64_t slices, runs;

  KERAS_FRCNN_HOST_DEVICE void operator()(const Thread& thread) const {
    const RoiPoolShape& s = args.shape;
    const int64_t bins = s.ph * s.pw;
    for (int64_t task = thread.block * kWarps + thread.warp; task < s.k * slices * runs;
         task += thread.blocks * kWarps) {
      const int64_t run = task % runs, slice = task / runs % slices, k = task / runs / slices;
      const int64_t c = slice * kLanes + thread.lane;
      const int64_t begin = run * bins / runs, end = (run + 1) * bins / runs;
      if (c < s.c) Scatter(k, begin, static_cast<int>(end - begin), c);
    }
  }

  KERAS_FRCNN_HOST_DEVICE void Scatter(int64_t k, int64_t bin, int count, int64_t c) const {
    using Element = typename T::Element;
    const RoiPoolShape& s = args.shape;
    const int64_t from = (k * s.ph * s.pw + bin) * s.c + c;
    const Element* const grads = static_cast<const Element*>(args.grad_output) + from;
    const int32_t* const positions = args.argmax + from;
    int32_t position[kRun];
    Element grad[kRun];
    for (int i = 0; i < kRun; ++i) {
      position[i] = i < count ? positions[i * s.c] : -1;
      grad[i] = i < count ? grads[i * s.c] : Element{0};
    }
    // Neighbouring bins overlap and often chose the same cell: they are added before they are sent.
    typename T::Sum* const image = sum + Image(args.rois, k) * s.h * s.w * s.c + c;
    int32_t last = -1;
    typename T::Sum pending = 0;
    for (int i = 0; i < kRun; ++i) {
      if (position[i] == last) {
        pending += T::ToSum(grad[i]);
        continue;
      }
      if (last >= 0) AtomicAdd(image + last * s.c, pending);
      last = position[i];
      pending = T::ToSum(grad[i]);
    }
    if (last >= 0) AtomicAdd(image + last * s.c, pending);
  }
};

// A warp for each bin of each RoI: the rectangle of the cells that its channels chose.
struct BinBoxes {
  static constexpr const char* kName = "rectangles of the bins";
  static constexpr int kBlocksAtOnce = 1;

  RoiPoolShape shape;
  const int32_t* argmax;
  Box* boxes;  // [K, PH * PW]

  KERAS_FRCNN_HOST_DEVICE void operator()(const Thread& thread) const {
    const int64_t c = shape.c;
    const uint32_t w = static_cast<uint32_t>(shape.w);
    const int64_t count = shape.k * shape.ph * shape.pw;
    for (int64_t bin = thread.block * kWarps + thread.warp; bin < count;
         bin += thread.blocks * kWarps) {
      const int32_t* const positions = argmax + bin * c;
      const Box box = WarpUnion(thread.lane, [&](int lane) {
        Box part = Box::Empty();
        for (int64_t i = lane; i < c; i += kLanes) {
          if (positions[i] < 0) continue;
          const uint32_t position = static_cast<uint32_t>(positions[i]);
          const int32_t y = static_cast<int32_t>(position / w);
          const int32_t x = static_cast<int32_t>(position % w);
          part.Add({y, x, y, x});
        }
        return part;
      });
      if (thread.lane == 0) Write(box, boxes + bin);
    }
  }
};

// A thread for each RoI: the rectangle around those of its bins.
struct RoiBoxes {
  static constexpr const char* kName = "rectangles of the RoIs";
  static constexpr int kBlocksAtOnce = 1;

  RoiPoolShape shape;
  const Box* bin_boxes;
  Box* boxes;  // [K]

  KERAS_FRCNN_HOST_DEVICE void operator()(const Thread& thread) const {
    const int64_t bins = shape.ph * shape.pw;
    for (int64_t k = thread.Index(); k < shape.k; k += thread.Count()) {
      Box box = Box::Empty();
      for (int64_t bin = 0; bin < bins; ++bin) box.Add(Read<Box>(bin_boxes + k * bins + bin));
      Write(box, boxes + k);
    }
  }
};

// A warp for each cell of the map and a slice of channels, `kElements` channels a lane.
template <typename T, int kElements>
struct GatherGrad {
  static constexpr const char* kName = "gather of the gradient";
  static constexpr int kBlocksAtOnce = kElements == 8 ? 4 : 5;

  using Element = typename T::Element;
  using Sum = typename T::Sum;

  CudaGradArgs args;
  const Box* roi_boxes;
  const Box* bin_boxes;
  int64_t slices;

  KERAS_FRCNN_HOST_DEVICE void operator()(const Thread& thread) const {
    const RoiPoolShape& s = args.shape;
    const int64_t cells = s.h * s.w;
    for (int64_t task = thread.block * kWarps + thread.warp; task < s.n * cells * slices;
         task += thread.blocks * kWarps) {
      const int64_t slice = task % slices, cell = task / slices;
      const int64_t c = (slice * kLanes + thread.lane) * kElements;
      Gather(cell / cells, static_cast<int32_t>(cell % cells), c, thread.lane);
    }
  }

  // All lanes come here, those beyond the last channel only to vote.
  KERAS_FRCNN_HOST_DEVICE void Gather(int64_t image, int32_t position, int64_t c, int lane) const {
    const RoiPoolShape& s = args.shape;
    const int64_t bins = s.ph * s.pw;
    const int32_t y = position / static_cast<int32_t>(s.w);
    const int32_t x = position % static_cast<int32_t>(s.w);
    Sum sum[kElements] = {};
    for (int64_t k0 = 0; k0 < s.k; k0 += kLanes) {
      uint32_t near = Vote(lane, [&](int other) {
        const int64_t k = k0 + other;
        return k < s.k && Read<Box>(roi_boxes + k).Contains(y, x) && Image(args.rois, k) == image;
      });
      for (; near; near &= near - 1) {
        const int64_t first_bin = (k0 + LowestOne(near)) * bins;
        for (int64_t bin0 = 0; bin0 < bins; bin0 += kLanes) {
          uint32_t chosen = Vote(lane, [&](int other) {
            const int64_t bin = bin0 + other;
            return bin < bins && Read<Box>(bin_boxes + first_bin + bin).Contains(y, x);
          });
          for (; chosen; chosen &= chosen - 1) {
            const int64_t from = (first_bin + bin0 + LowestOne(chosen)) * s.c + c;
            if (c < s.c) Add(from, position, sum);
          }
        }
      }
    }
    if (c >= s.c) return;
    Pack<Element, kElements> grad;
    for (int i = 0; i < kElements; ++i) grad.at[i] = T::FromSum(sum[i]);
    Element* const to =
        static_cast<Element*>(args.grad) + (image * s.h * s.w + position) * s.c + c;
    Write(grad, to);
  }

  KERAS_FRCNN_HOST_DEVICE void Add(int64_t from, int32_t position, Sum* sum) const {
    const auto positions = Read<Pack<int32_t, kElements>>(args.argmax + from);
    bool any = false;
    for (int i = 0; i < kElements; ++i) any |= positions.at[i] == position;
    if (!any) return;
    const auto grads = Read<Pack<Element, kElements>>(
        static_cast<const Element*>(args.grad_output) + from);
    for (int i = 0; i < kElements; ++i) {
      if (positions.at[i] == position) sum[i] += T::ToSum(grads.at[i]);
    }
  }
};

}  // namespace cuda
}  // namespace keras_frcnn

#endif  // KERAS_FRCNN_ROI_POOL_CUDA_GRAD_THREADS_H_
