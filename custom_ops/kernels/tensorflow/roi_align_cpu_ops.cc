// RoIAlign's CPU kernels on TensorFlow's tensors and threads.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "cpu_op.h"
#include "roi_align.h"
#include "roi_align_samples.h"
#include "roi_pool_op_inputs.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace keras_frcnn {
namespace {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::OpInputList;
using tensorflow::Tensor;
using tensorflow::TensorShape;

// A map [N, H, W, C] and its cells per pixel of the image.
struct Level {
  int64_t n, h, w;
  float spatial_scale;
};

// What both ops are asked for, and the checks of the RoIs.
class AlignAttributes {
 public:
  absl::Status Read(OpKernelConstruction* context) {
    int64_t maps;
    TF_RETURN_IF_ERROR(context->GetAttr("L", &maps));
    TF_RETURN_IF_ERROR(context->GetAttr("spatial_scales", &scales_));
    TF_RETURN_IF_ERROR(context->GetAttr("sampling_ratio", &grid_.sampling_ratio));
    TF_RETURN_IF_ERROR(context->GetAttr("aligned", &grid_.aligned));
    if (static_cast<int64_t>(scales_.size()) != maps) {
      return InvalidArgument("spatial_scales has ", scales_.size(), " numbers for ", maps, " maps");
    }
    for (const float scale : scales_) {
      if (!std::isfinite(scale) || scale <= 0) {
        return InvalidArgument("spatial_scale is ", scale, ", not a positive number");
      }
    }
    if (grid_.sampling_ratio < -1 || grid_.sampling_ratio > kMaxAxisSamples) {
      return InvalidArgument("sampling_ratio is ", grid_.sampling_ratio, "; it must be up to ",
                             kMaxAxisSamples, ", or 0 for one sample a cell");
    }
    grid_.sampling_ratio = std::max<int64_t>(grid_.sampling_ratio, 0);
    return absl::OkStatus();
  }

  absl::Status SetSize(int64_t ph, int64_t pw) {
    if (ph < 1 || pw < 1 || ph > kMaxBins || pw > kMaxBins) {
      return InvalidArgument("pooled size ", ph, " x ", pw, " is not positive or too large");
    }
    grid_.ph = ph;
    grid_.pw = pw;
    return absl::OkStatus();
  }

  // Checks `rois` and `levels` against maps, of which n, h and w are known.
  absl::Status CheckRois(const Tensor& rois, const Tensor& levels, std::vector<Level>* maps) const {
    if (rois.dims() != 2 || rois.dim_size(1) != 5) {
      return InvalidArgument("rois must be [K, 5], not ", rois.shape().DebugString());
    }
    const int64_t k = rois.dim_size(0), count = static_cast<int64_t>(maps->size());
    if (levels.dims() != 1 || levels.dim_size(0) != k) {
      return InvalidArgument("levels must be [", k, "], not ", levels.shape().DebugString());
    }
    for (int64_t i = 0; i < count; ++i) (*maps)[i].spatial_scale = scales_[i];
    const int32_t* level = levels.flat<int32_t>().data();
    for (int64_t row = 0; row < k; ++row) {
      const float* roi = rois.flat<float>().data() + 5 * row;
      if (level[row] < 0 || level[row] >= count) {
        return InvalidArgument("rois row ", row, ": the level ", level[row], " must be in [0, ",
                               count, ")");
      }
      const Level& map = (*maps)[level[row]];
      int64_t counts[2];
      switch (CheckRoi(roi, map.spatial_scale, grid_, map.n, counts)) {
        case RoiFault::kNone:
          break;
        case RoiFault::kTooManySamples:
          return InvalidArgument("rois row ", row, " is (", roi[0], ", ", roi[1], ", ", roi[2],
                                 ", ", roi[3], ", ", roi[4], "): more than ", kMaxAxisSamples,
                                 " samples a bin along an axis");
        default:
          return BadRow(rois.flat<float>().data(), row, map.n);
      }
    }
    return absl::OkStatus();
  }

  const AlignGrid& grid() const { return grid_; }

 private:
  static constexpr int64_t kMaxBins = 1 << 20;  // along an axis
  AlignGrid grid_{};
  std::vector<float> scales_;
};

absl::Status AddLevel(const TensorShape& shape, std::vector<Level>* maps, int64_t* channels) {
  if (shape.dims() != 4) {
    return InvalidArgument("features must be [N, H, W, C], not ", shape.DebugString());
  }
  if (!maps->empty() && shape.dim_size(3) != *channels) {
    return InvalidArgument("features have ", *channels, " and ", shape.dim_size(3), " channels");
  }
  if (std::max(shape.dim_size(1), shape.dim_size(2)) > (1 << 24)) {
    return InvalidArgument("features have ", shape.dim_size(1), " x ", shape.dim_size(2),
                           " cells; float32 counts no more than 2^24 along an axis");
  }
  *channels = shape.dim_size(3);
  maps->push_back({shape.dim_size(0), shape.dim_size(1), shape.dim_size(2), 0});
  return absl::OkStatus();
}

template <typename T>
class RoiAlignOp : public OpKernel {
 public:
  explicit RoiAlignOp(OpKernelConstruction* context) : OpKernel(context) {
    int64_t ph, pw;
    OP_REQUIRES_OK(context, context->GetAttr("pooled_height", &ph));
    OP_REQUIRES_OK(context, context->GetAttr("pooled_width", &pw));
    OP_REQUIRES_OK(context, attributes_.SetSize(ph, pw));
    OP_REQUIRES_OK(context, attributes_.Read(context));
  }

  void Compute(OpKernelContext* context) override {
    OpInputList features;
    const Tensor *rois, *levels;
    OP_REQUIRES_OK(context, context->input_list("features", &features));
    OP_REQUIRES_OK(context, context->input("rois", &rois));
    OP_REQUIRES_OK(context, context->input("levels", &levels));
    std::vector<Level> maps;
    int64_t channels = 0;
    for (const Tensor& map : features) {
      OP_REQUIRES_OK(context, AddLevel(map.shape(), &maps, &channels));
    }
    OP_REQUIRES_OK(context, attributes_.CheckRois(*rois, *levels, &maps));
    const AlignGrid& grid = attributes_.grid();
    const int64_t k = rois->dim_size(0), of_roi = grid.ph * grid.pw * channels;
    TensorShape shape;
    OP_REQUIRES_OK(context, TensorShape::BuildTensorShape({k, grid.ph, grid.pw, channels}, &shape));
    Tensor* output = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &output));
    if (shape.num_elements() == 0) return;
    AdviseHugePages(*output);

    const auto align = BestAlignKernels().align[static_cast<int>(kDType<T>)];
    const float* boxes = rois->flat<float>().data();
    const int32_t* level = levels->flat<int32_t>().data();
    Parallel(context, k, 1 + of_roi, [&](int64_t begin, int64_t end) {
      RoiSamples samples;
      for (int64_t i = begin; i < end; ++i) {
        const Level& map = maps[level[i]];
        ComputeSamples(boxes + 5 * i, map.spatial_scale, grid, map.h, map.w, &samples);
        const T* image = static_cast<const T*>(features[level[i]].data()) +
                         samples.image * map.h * map.w * channels;
        align(ForKernel(samples, grid, map.w, channels), image,
              static_cast<T*>(output->data()) + i * of_roi);
      }
    });
  }

 private:
  AlignAttributes attributes_;
};

template <typename T>
class RoiAlignGradOp : public OpKernel {
 public:
  explicit RoiAlignGradOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, attributes_.Read(context));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor *grad_output, *rois, *levels;
    OpInputList shapes;
    OP_REQUIRES_OK(context, context->input("grad_output", &grad_output));
    OP_REQUIRES_OK(context, context->input("rois", &rois));
    OP_REQUIRES_OK(context, context->input("levels", &levels));
    OP_REQUIRES_OK(context, context->input_list("shapes", &shapes));
    std::vector<Level> maps;
    std::vector<TensorShape> map_shapes(shapes.size());
    int64_t channels = 0;
    for (int i = 0; i < shapes.size(); ++i) {
      OP_REQUIRES(context, shapes[i].dims() == 1,
                  InvalidArgument("shapes must be vectors, not ", shapes[i].shape().DebugString()));
      OP_REQUIRES_OK(context,
                     tensorflow::TensorShapeUtils::MakeShape(
                                  shapes[i].flat<int32_t>().data(), shapes[i].dim_size(0),
                                  &map_shapes[i]));
      OP_REQUIRES_OK(context, AddLevel(map_shapes[i], &maps, &channels));
    }
    OP_REQUIRES(context,
                grad_output->dims() == 4 && grad_output->dim_size(0) == rois->dim_size(0) &&
                    grad_output->dim_size(3) == channels,
                InvalidArgument("grad_output must be [K, PH, PW, ", channels, "], not ",
                                grad_output->shape().DebugString()));
    AlignAttributes attributes = attributes_;
    OP_REQUIRES_OK(context,
                   attributes.SetSize(grad_output->dim_size(1), grad_output->dim_size(2)));
    OP_REQUIRES_OK(context, attributes.CheckRois(*rois, *levels, &maps));

    const AlignKernels& kernels = BestAlignKernels();
    const int type = static_cast<int>(kDType<T>);
    const auto round_sum = kernels.round_sum[type];
    std::vector<Tensor> sums(maps.size());
    std::vector<Tensor*> grads(maps.size());
    for (size_t i = 0; i < maps.size(); ++i) {
      const int index = static_cast<int>(i);
      OP_REQUIRES_OK(context, context->allocate_output(index, map_shapes[i], &grads[i]));
      sums[i] = *grads[i];
      if (round_sum) {
        OP_REQUIRES_OK(context,
                       context->allocate_temp(tensorflow::DT_FLOAT, map_shapes[i], &sums[i]));
      }
      AdviseHugePages(*grads[i]);
      AdviseHugePages(sums[i]);
      char* bytes = static_cast<char*>(sums[i].data());
      Parallel(context, sums[i].TotalBytes(), 1, [&](int64_t begin, int64_t end) {
        std::memset(bytes + begin, 0, end - begin);
      });
    }
    if (channels > 0) Scatter(context, attributes.grid(), maps, channels, *grad_output, *rois,
                              *levels, &sums);
    for (size_t i = 0; round_sum && i < maps.size(); ++i) {
      Parallel(context, sums[i].NumElements(), 1, [&](int64_t begin, int64_t end) {
        round_sum(sums[i].flat<float>().data(), grads[i]->data(), begin, end);
      });
    }
  }

 private:
  // Threads share the channels, not the RoIs: every sum stays in the order of the RoIs.
  void Scatter(OpKernelContext* context, const AlignGrid& grid, const std::vector<Level>& maps,
               int64_t channels, const Tensor& grad_output, const Tensor& rois,
               const Tensor& levels, std::vector<Tensor>* sums) {
    const auto scatter = BestAlignKernels().scatter[static_cast<int>(kDType<T>)];
    const int64_t k = rois.dim_size(0), of_roi = grid.ph * grid.pw * channels;
    const float* boxes = rois.flat<float>().data();
    const int32_t* level = levels.flat<int32_t>().data();
    constexpr int64_t kLine = 16;
    const int64_t lines = (channels + kLine - 1) / kLine;
    const int64_t threads = context->device()->tensorflow_cpu_worker_threads()->num_threads;
    const int64_t run = (lines + threads - 1) / threads * kLine;
    Parallel(context, (channels + run - 1) / run, 1 + k * of_roi, [&](int64_t begin, int64_t end) {
      RoiSamples samples;
      for (int64_t i = 0; i < k; ++i) {
        const Level& map = maps[level[i]];
        ComputeSamples(boxes + 5 * i, map.spatial_scale, grid, map.h, map.w, &samples);
        Tensor& sum = (*sums)[level[i]];
        char* image = static_cast<char*>(sum.data()) +
                      samples.image * map.h * map.w * channels * tensorflow::DataTypeSize(sum.dtype());
        scatter(ForKernel(samples, grid, map.w, channels),
                static_cast<const T*>(grad_output.data()) + i * of_roi, begin * run,
                std::min(end * run, channels), image);
      }
    });
  }

  AlignAttributes attributes_;
};

#define REGISTER_CPU(type)                                                   \
  REGISTER_KERNEL_BUILDER(Name("KerasFrcnn>RoiAlign")                        \
                              .Device(tensorflow::DEVICE_CPU)                \
                              .TypeConstraint<type>("T"),                    \
                          RoiAlignOp<type>);                                 \
  REGISTER_KERNEL_BUILDER(Name("KerasFrcnn>RoiAlignGrad")                    \
                              .Device(tensorflow::DEVICE_CPU)                \
                              .TypeConstraint<type>("T"),                    \
                          RoiAlignGradOp<type>)

REGISTER_CPU(Eigen::half);
REGISTER_CPU(Eigen::bfloat16);
REGISTER_CPU(float);
REGISTER_CPU(double);

}  // namespace
}  // namespace keras_frcnn
