// The CPU kernels of the ops, on TensorFlow's tensors and threads.

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "cpu_op.h"
#include "roi_pool.h"
#include "roi_pool_op_inputs.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace keras_frcnn {
namespace {

using tensorflow::DataTypeToEnum;
using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;

// RoiPool and RoiPyramidPool: the map is encoded once, and all grids of a RoI are pooled while its
// cells are in the processor's cache.
template <typename T>
class RoiPoolOp : public OpKernel {
 public:
  explicit RoiPoolOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, attributes_.Read(context));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& features = context->input(0);
    const Tensor& rois = context->input(1);
    RoiPoolShape shape;
    TensorShape output_shape;
    OP_REQUIRES_OK(context, attributes_.CheckInputs(features, rois, &shape, &output_shape));

    const auto& grids = attributes_.grids();
    std::vector<PoolArgs> pools(grids.size());
    std::vector<Tensor> bins(grids.size());
    const float* boxes = rois.flat<float>().data();
    for (size_t i = 0; i < grids.size(); ++i) {
      shape.ph = grids[i].ph;
      shape.pw = grids[i].pw;
      TensorShape bins_shape;
      OP_REQUIRES_OK(context,
                     TensorShape::BuildTensorShape({shape.k, BinsPerRoi(shape)}, &bins_shape));
      OP_REQUIRES_OK(context, context->allocate_temp(tensorflow::DT_INT32, bins_shape, &bins[i]));
      int32_t* bounds = bins[i].flat<int32_t>().data();
      const int64_t good = ComputeBins(boxes, attributes_.spatial_scale(), shape, bounds);
      OP_REQUIRES(context, good == shape.k, BadRow(boxes, good, shape.n));
      pools[i].shape = shape;
      pools[i].bins = bounds;
    }

    Tensor *output = nullptr, *argmax = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, output_shape, &output));
    AdviseHugePages(*output);
    // Nobody consumes the argmax in a graph without a gradient.
    if (context->output_required(1)) {
      OP_REQUIRES_OK(context, context->allocate_output(1, output_shape, &argmax));
      AdviseHugePages(*argmax);
    }
    if (output_shape.num_elements() == 0) return;

    const CpuKernels& kernels = BestCpuKernels();
    const int type = static_cast<int>(kDType<T>);
    constexpr int64_t kLanes = kVectorBytes / sizeof(T);
    const int64_t cell_stride = (shape.c + kLanes - 1) / kLanes * kLanes;
    const int64_t cells = shape.n * shape.h * shape.w;
    Tensor keys;
    TensorShape keys_shape;
    OP_REQUIRES_OK(context, TensorShape::BuildTensorShape({cells, cell_stride}, &keys_shape));
    OP_REQUIRES_OK(context, context->allocate_temp(DataTypeToEnum<T>::value, keys_shape, &keys));
    std::atomic<bool> negative_zero{false};
    Parallel(context, cells, 1 + shape.c / 16, [&](int64_t begin, int64_t end) {
      if (kernels.encode[type](features.data(), shape.c, cell_stride, begin, end, keys.data())) {
        negative_zero.store(true, std::memory_order_relaxed);
      }
    });

    for (size_t i = 0; i < grids.size(); ++i) {
      const int64_t offset = grids[i].first_bin * shape.c;
      pools[i].keys = keys.data();
      pools[i].cell_stride = cell_stride;
      pools[i].output = static_cast<T*>(output->data()) + offset;
      pools[i].argmax = argmax ? argmax->flat<int32_t>().data() + offset : nullptr;
      pools[i].output_stride = attributes_.bins() * shape.c;
    }
    const auto pool = negative_zero ? kernels.pool_zeros[type]
                      : argmax      ? kernels.pool_argmax[type]
                                    : kernels.pool[type];
    const int64_t cost = 1 + attributes_.bins() * shape.c / (kLanes / 4);
    Parallel(context, shape.k, cost, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        for (const PoolArgs& args : pools) pool(args, k, k + 1);
      }
    });
  }

 private:
  PoolAttributes attributes_;
};

template <typename T>
class RoiPoolGradOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    const Tensor& grad_output = context->input(0);
    const Tensor& argmax = context->input(1);
    const Tensor& rois = context->input(2);
    const Tensor& features_shape = context->input(3);
    RoiPoolShape shape;
    TensorShape output_shape;
    OP_REQUIRES_OK(context, CheckGradInputs(grad_output, argmax, rois, features_shape, &shape,
                                            &output_shape));

    Tensor* grad = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, output_shape, &grad));
    const int64_t count = output_shape.num_elements();
    if (count == 0) return;
    const CpuKernels& kernels = BestCpuKernels();
    const int type = static_cast<int>(kDType<T>);
    const auto round_sum = kernels.round_sum[type];
    Tensor sum = *grad;
    if (round_sum) {
      OP_REQUIRES_OK(context,
                     context->allocate_temp(tensorflow::DT_FLOAT, output_shape, &sum));
    }
    AdviseHugePages(*grad);
    AdviseHugePages(sum);
    char* bytes = static_cast<char*>(sum.data());
    const int64_t width = tensorflow::DataTypeSize(sum.dtype());
    Parallel(context, count, 1, [&](int64_t begin, int64_t end) {
      std::memset(bytes + begin * width, 0, (end - begin) * width);
    });
    const ScatterArgs args = {shape, grad_output.data(), argmax.flat<int32_t>().data(),
                              rois.flat<float>().data(), sum.data()};
    // Threads share the channels, not the RoIs: every sum stays in (k, ph, pw) order. One run of
    // channels a thread, since shorter runs read memory in smaller pieces.
    constexpr int64_t kLine = 16;
    const int64_t lines = (shape.c + kLine - 1) / kLine;
    const int64_t threads = context->device()->tensorflow_cpu_worker_threads()->num_threads;
    const int64_t run = (lines + threads - 1) / threads * kLine;
    Parallel(context, (shape.c + run - 1) / run, shape.k * shape.ph * shape.pw * run,
             [&](int64_t begin, int64_t end) {
               kernels.scatter[type](args, begin * run, std::min(end * run, shape.c));
             });
    if (round_sum) {
      Parallel(context, count, 1, [&](int64_t begin, int64_t end) {
        round_sum(sum.flat<float>().data(), grad->data(), begin, end);
      });
    }
  }
};

#define REGISTER_CPU(type)                                                \
  REGISTER_KERNEL_BUILDER(Name("KerasFrcnn>RoiPool")                      \
                              .Device(tensorflow::DEVICE_CPU)             \
                              .TypeConstraint<type>("T"),                 \
                          RoiPoolOp<type>);                               \
  REGISTER_KERNEL_BUILDER(Name("KerasFrcnn>RoiPyramidPool")               \
                              .Device(tensorflow::DEVICE_CPU)             \
                              .TypeConstraint<type>("T"),                 \
                          RoiPoolOp<type>);                               \
  REGISTER_KERNEL_BUILDER(Name("KerasFrcnn>RoiPoolGrad")                  \
                              .Device(tensorflow::DEVICE_CPU)             \
                              .TypeConstraint<type>("T"),                 \
                          RoiPoolGradOp<type>)

REGISTER_CPU(Eigen::half);
REGISTER_CPU(Eigen::bfloat16);
REGISTER_CPU(float);
REGISTER_CPU(double);

}  // namespace
}  // namespace keras_frcnn
