// RoIAlign's CPU kernels on TensorFlow's tensors and threads.

#include <algorithm>
#include <cstring>
#include <vector>

#include "cpu_op.h"
#include "roi_align.h"
#include "roi_align_op_inputs.h"
#include "roi_align_samples.h"
#include "roi_pool_op_inputs.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace keras_frcnn {
namespace {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;

template <typename T>
class RoiAlignOp : public OpKernel {
 public:
  explicit RoiAlignOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, attributes_.ReadWithSize(context));
  }

  void Compute(OpKernelContext* context) override {
    AlignInputs in;
    OP_REQUIRES_OK(context, in.Read(context, attributes_));
    const AlignGrid& grid = attributes_.grid();
    const int64_t of_roi = grid.ph * grid.pw * in.channels;
    const TensorShape& shape = in.output_shape;
    Tensor* output = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &output));
    if (shape.num_elements() == 0) return;
    AdviseHugePages(*output);

    const auto align = BestAlignKernels().align[static_cast<int>(kDType<T>)];
    Parallel(context, in.rois.size(), 1 + of_roi, [&](int64_t begin, int64_t end) {
      RoiSamples samples;
      for (int64_t i = begin; i < end; ++i) {
        const PlacedRoi& roi = in.rois[i];
        const Level& map = in.maps[roi.level];
        ComputeSamples(roi, grid, map.h, map.w, &samples);
        const T* image = static_cast<const T*>(in.features[roi.level].data()) +
                         roi.image * map.h * map.w * in.channels;
        align(ForKernel(samples, grid, map.w, in.channels), image,
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
    AlignGradInputs in;
    OP_REQUIRES_OK(context, in.Read(context, attributes_));
    const std::vector<Level>& maps = in.maps;
    const AlignKernels& kernels = BestAlignKernels();
    const int type = static_cast<int>(kDType<T>);
    const auto round_sum = kernels.round_sum[type];
    std::vector<Tensor> sums(maps.size());
    std::vector<Tensor*> grads(maps.size());
    for (size_t i = 0; i < maps.size(); ++i) {
      const int index = static_cast<int>(i);
      OP_REQUIRES_OK(context, context->allocate_output(index, in.shapes[i], &grads[i]));
      sums[i] = *grads[i];
      if (round_sum) {
        OP_REQUIRES_OK(context,
                       context->allocate_temp(tensorflow::DT_FLOAT, in.shapes[i], &sums[i]));
      }
      AdviseHugePages(*grads[i]);
      AdviseHugePages(sums[i]);
      char* bytes = static_cast<char*>(sums[i].data());
      Parallel(context, sums[i].TotalBytes(), 1, [&](int64_t begin, int64_t end) {
        std::memset(bytes + begin, 0, end - begin);
      });
    }
    if (in.channels > 0) Scatter(context, in, &sums);
    for (size_t i = 0; round_sum && i < maps.size(); ++i) {
      Parallel(context, sums[i].NumElements(), 1, [&](int64_t begin, int64_t end) {
        round_sum(sums[i].flat<float>().data(), grads[i]->data(), begin, end);
      });
    }
  }

 private:
  // Threads share the channels, not the RoIs: every sum stays in the order of the RoIs.
  void Scatter(OpKernelContext* context, const AlignGradInputs& in, std::vector<Tensor>* sums) {
    const auto scatter = BestAlignKernels().scatter[static_cast<int>(kDType<T>)];
    const int64_t channels = in.channels, of_roi = in.grid.ph * in.grid.pw * channels;
    constexpr int64_t kLine = 16;
    const int64_t lines = (channels + kLine - 1) / kLine;
    const int64_t threads = context->device()->tensorflow_cpu_worker_threads()->num_threads;
    const int64_t run = (lines + threads - 1) / threads * kLine;
    const int64_t cost = 1 + static_cast<int64_t>(in.rois.size()) * of_roi;
    Parallel(context, (channels + run - 1) / run, cost, [&](int64_t begin, int64_t end) {
      RoiSamples samples;
      for (const PlacedRoi& roi : in.rois) {
        const Level& map = in.maps[roi.level];
        ComputeSamples(roi, in.grid, map.h, map.w, &samples);
        Tensor& sum = (*sums)[roi.level];
        char* image = static_cast<char*>(sum.data()) +
                      roi.image * map.h * map.w * channels * tensorflow::DataTypeSize(sum.dtype());
        scatter(ForKernel(samples, in.grid, map.w, channels),
                static_cast<const T*>(in.grad_output->data()) + roi.row * of_roi, begin * run,
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
