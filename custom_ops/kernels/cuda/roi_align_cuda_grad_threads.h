// The CUDA kernels of RoIAlign's gradient, as what one thread does; see roi_align_cuda_threads.h.
//
// In no fixed order: ScatterAlignGrad adds with atomic instructions.
//
// In the CPU's order: GatherAlignGrad gives every cell of the map a warp for a slice of channels,
// which walks the RoIs, bins and samples that read this cell and adds up in registers: nothing is
// shared, and the sums are those of the CPU bit for bit. AlignSpans and AlignBoxes first note which
// rows and columns of cells each bin row and bin column reads, and the rectangle of each RoI; a
// warp tests 32 of them at a time.

#ifndef KERAS_FRCNN_ROI_ALIGN_CUDA_GRAD_THREADS_H_
#define KERAS_FRCNN_ROI_ALIGN_CUDA_GRAD_THREADS_H_

#include <cstdint>

#include "roi_align_cuda_threads.h"

namespace keras_frcnn {
namespace cuda {

// (g * weight) / count. Of a power of two the reciprocal is exact, and so is the product with it.
template <typename Sum>
struct ShareOut {
  Sum count, reciprocal;
  bool exact;

  KERAS_FRCNN_HOST_DEVICE explicit ShareOut(const PlacedRoi& roi) {
    const int64_t divisor = Divisor(roi);
    count = static_cast<Sum>(divisor);
    reciprocal = 1 / count;
    exact = (divisor & (divisor - 1)) == 0;
  }
  KERAS_FRCNN_HOST_DEVICE Sum operator()(Sum grad, float weight) const {
    const Sum product = grad * static_cast<Sum>(weight);
    return exact ? product * reciprocal : product / count;
  }
};

// A warp for a bin of a RoI and 32 channels, a channel a lane: wider lanes would spread an atomic
// instruction over more lines of memory.
template <typename T>
struct ScatterAlignGrad {
  static constexpr const char* kName = "scatter of the gradient";
  static constexpr int kBlocksAtOnce = sizeof(typename T::Sum) == 8 ? 4 : 5;

  CudaAlignGradArgs args;
  typename T::Sum* sum;
  int64_t slices;

  KERAS_FRCNN_HOST_DEVICE void operator()(const Thread& thread) const {
    const RoiPoolShape& s = args.shape;
    const int64_t bins = s.ph * s.pw, items = s.k * bins * slices;
    for (int64_t item = thread.block * kWarps + thread.warp; item < items;
         item += thread.blocks * kWarps) {
      const int64_t slice = item % slices, bin = item / slices % bins, k = item / slices / bins;
      const int64_t c = slice * kLanes + thread.lane;
      if (c < s.c) Scatter(args.rois[k], bin / s.pw, bin % s.pw, c);
    }
  }

  KERAS_FRCNN_HOST_DEVICE void Scatter(const PlacedRoi& roi, int64_t ph, int64_t pw,
                                       int64_t c) const {
    const RoiPoolShape& s = args.shape;
    const int64_t from = ((roi.row * s.ph + ph) * s.pw + pw) * s.c + c;
    const typename T::Sum grad =
        T::ToSum(static_cast<const typename T::Element*>(args.grad_output)[from]);
    const ShareOut<typename T::Sum> share(roi);
    typename T::Sum* const image = sum + roi.image * s.h * s.w * s.c + c;
    const SampleRange rows = SamplesInside(roi.y, ph, s.h);
    const SampleRange columns = SamplesInside(roi.x, pw, s.w);
    for (int32_t i = rows.begin; i < rows.end; ++i) {
      AxisSample y, x;
      if (!TakeSample(roi.y, ph, i, s.h, &y)) continue;
      for (int32_t j = columns.begin; j < columns.end; ++j) {
        if (!TakeSample(roi.x, pw, j, s.w, &x)) continue;
        const CornerWeights weights(y, x);
        const int64_t low = y.low * s.w, high = y.high * s.w;
        AtomicAdd(image + (low + x.low) * s.c, share(grad, weights.at[0]));
        AtomicAdd(image + (low + x.high) * s.c, share(grad, weights.at[1]));
        AtomicAdd(image + (high + x.low) * s.c, share(grad, weights.at[2]));
        AtomicAdd(image + (high + x.high) * s.c, share(grad, weights.at[3]));
      }
    }
  }
};

// Cells on one axis, the last included; none where last < first.
struct Span {
  int32_t first, last;

  KERAS_FRCNN_HOST_DEVICE bool Contains(int32_t cell) const {
    return first <= cell && cell <= last;
  }
};

// A thread for each bin row and each bin column of each RoI: the cells that its samples read.
struct AlignSpans {
  static constexpr const char* kName = "spans of the bins";
  static constexpr int kBlocksAtOnce = 1;

  RoiPoolShape shape;
  const PlacedRoi* rois;
  Span* spans;  // [K, PH + PW]

  KERAS_FRCNN_HOST_DEVICE void operator()(const Thread& thread) const {
    const int64_t axes = shape.ph + shape.pw;
    for (int64_t i = thread.Index(); i < shape.k * axes; i += thread.Count()) {
      const int64_t p = i % axes;
      const PlacedRoi& roi = rois[i / axes];
      spans[i] = p < shape.ph ? Of(roi.y, p, shape.h) : Of(roi.x, p - shape.ph, shape.w);
    }
  }

  KERAS_FRCNN_HOST_DEVICE static Span Of(const PlacedAxis& axis, int64_t p, int64_t limit) {
    Span span = {INT32_MAX, -1};
    const SampleRange range = SamplesInside(axis, p, limit);
    for (int32_t i = range.begin; i < range.end; ++i) {
      AxisSample sample;
      if (!TakeSample(axis, p, i, limit, &sample)) continue;
      span.first = sample.low < span.first ? sample.low : span.first;
      span.last = sample.high > span.last ? sample.high : span.last;
    }
    return span;
  }
};

// A thread for each RoI: the rectangle of the cells that it reads.
struct AlignBoxes {
  static constexpr const char* kName = "rectangles of the RoIs";
  static constexpr int kBlocksAtOnce = 1;

  RoiPoolShape shape;
  const Span* spans;
  Box* boxes;  // [K]

  KERAS_FRCNN_HOST_DEVICE void operator()(const Thread& thread) const {
    for (int64_t k = thread.Index(); k < shape.k; k += thread.Count()) {
      const Span* const of_roi = spans + k * (shape.ph + shape.pw);
      Box box = Box::Empty();
      for (int64_t p = 0; p < shape.ph; ++p) {
        box.Add({of_roi[p].first, INT32_MAX, of_roi[p].last, -1});
      }
      for (int64_t p = 0; p < shape.pw; ++p) {
        box.Add({INT32_MAX, of_roi[shape.ph + p].first, -1, of_roi[shape.ph + p].last});
      }
      Write(box, boxes + k);
    }
  }
};

// A warp for each cell of the map and a slice of channels, `kElements` channels a lane.
template <typename T, int kElements>
struct GatherAlignGrad {
  static constexpr const char* kName = "gather of the gradient";
  using Element = typename T::Element;
  using Sum = typename T::Sum;

  // So that nothing is spilled.
  static constexpr int kBlocksAtOnce = kElements == 8 || kElements == 2 ? 2 : 3;

  CudaAlignGradArgs args;
  const Box* boxes;
  const Span* spans;
  int64_t slices;

  KERAS_FRCNN_HOST_DEVICE void operator()(const Thread& thread) const {
    const RoiPoolShape& s = args.shape;
    const int64_t cells = s.h * s.w;
    for (int64_t task = thread.block * kWarps + thread.warp; task < s.n * cells * slices;
         task += thread.blocks * kWarps) {
      const int64_t slice = task % slices, cell = task / slices, in_image = cell % cells;
      const int64_t c = (slice * kLanes + thread.lane) * kElements;
      const int32_t y = static_cast<int32_t>(in_image / s.w);
      const int32_t x = static_cast<int32_t>(in_image % s.w);
      Gather(cell / cells, y, x, c, thread.lane);
    }
  }

  // All lanes come here, those beyond the last channel only to vote.
  KERAS_FRCNN_HOST_DEVICE void Gather(int64_t image, int32_t y, int32_t x, int64_t c,
                                      int lane) const {
    const RoiPoolShape& s = args.shape;
    Sum sum[kElements] = {};
    for (int64_t k0 = 0; k0 < s.k; k0 += kLanes) {
      uint32_t near = Vote(lane, [&](int other) {
        const int64_t k = k0 + other;
        return k < s.k && Read<Box>(boxes + k).Contains(y, x) && args.rois[k].image == image;
      });
      for (; near; near &= near - 1) AddRoi(k0 + LowestOne(near), y, x, c, lane, sum);
    }
    if (c >= s.c) return;
    Pack<Element, kElements> grad;
    for (int e = 0; e < kElements; ++e) grad.at[e] = T::FromSum(sum[e]);
    Write(grad, static_cast<Element*>(args.grad) +
                    (image * s.h * s.w + y * s.w + x) * s.c + c);
  }

  KERAS_FRCNN_HOST_DEVICE void AddRoi(int64_t k, int32_t y, int32_t x, int64_t c, int lane,
                                      Sum* sum) const {
    const RoiPoolShape& s = args.shape;
    const PlacedRoi& roi = args.rois[k];
    const Span* const of_rows = spans + k * (s.ph + s.pw);
    const Span* const of_columns = of_rows + s.ph;
    const ShareOut<Sum> share(roi);
    for (int64_t ph0 = 0; ph0 < s.ph; ph0 += kLanes) {
      uint32_t rows = Vote(lane, [&](int other) {
        return ph0 + other < s.ph && of_rows[ph0 + other].Contains(y);
      });
      for (; rows; rows &= rows - 1) {
        const int64_t ph = ph0 + LowestOne(rows);
        for (int64_t pw0 = 0; pw0 < s.pw; pw0 += kLanes) {
          uint32_t columns = Vote(lane, [&](int other) {
            return pw0 + other < s.pw && of_columns[pw0 + other].Contains(x);
          });
          for (; columns; columns &= columns - 1) {
            const int64_t pw = pw0 + LowestOne(columns);
            if (c < s.c) AddBin(roi, share, ph, pw, y, x, c, sum);
          }
        }
      }
    }
  }

  // Samples that read a cell lie less than a cell away from it, or beyond the map's rim.
  KERAS_FRCNN_HOST_DEVICE static SampleRange Around(const PlacedAxis& axis, int64_t p,
                                                    int32_t cell) {
    return SamplesWithin(axis, p, static_cast<float>(cell) - 1.0f,
                         static_cast<float>(cell) + 1.0f);
  }

  KERAS_FRCNN_HOST_DEVICE void AddBin(const PlacedRoi& roi, const ShareOut<Sum>& share, int64_t ph,
                                      int64_t pw, int32_t y, int32_t x, int64_t c,
                                      Sum* sum) const {
    const RoiPoolShape& s = args.shape;
    const auto packed = Read<Pack<Element, kElements>>(
        static_cast<const Element*>(args.grad_output) +
        ((roi.row * s.ph + ph) * s.pw + pw) * s.c + c);
    Sum grads[kElements];
    for (int e = 0; e < kElements; ++e) grads[e] = T::ToSum(packed.at[e]);
    const SampleRange rows = Around(roi.y, ph, y), columns = Around(roi.x, pw, x);
    for (int32_t i = rows.begin; i < rows.end; ++i) {
      AxisSample of_row, of_column;
      if (!TakeSample(roi.y, ph, i, s.h, &of_row)) continue;
      const bool reads_row[2] = {of_row.low == y, of_row.high == y};
      if (!reads_row[0] && !reads_row[1]) continue;
      for (int32_t j = columns.begin; j < columns.end; ++j) {
        if (!TakeSample(roi.x, pw, j, s.w, &of_column)) continue;
        const bool reads_column[2] = {of_column.low == x, of_column.high == x};
        const CornerWeights weights(of_row, of_column);
        for (int corner = 0; corner < 4; ++corner) {
          if (!reads_row[corner / 2] || !reads_column[corner % 2]) continue;
          for (int e = 0; e < kElements; ++e) sum[e] += share(grads[e], weights.at[corner]);
        }
      }
    }
  }
};

}  // namespace cuda
}  // namespace keras_frcnn

#endif  // KERAS_FRCNN_ROI_ALIGN_CUDA_GRAD_THREADS_H_
