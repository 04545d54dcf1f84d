// Registers the ops KerasFrcnn>RoiPool and KerasFrcnn>RoiPoolGrad, their shapes and CPU kernels.
// The only file that knows TensorFlow.

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "roi_pool.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/lib/core/threadpool.h"

namespace keras_frcnn {
namespace {

using tensorflow::DataTypeToEnum;
using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;
using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

absl::Status RoiPoolShapes(InferenceContext* c) {
  ShapeHandle features, rois;
  DimensionHandle five;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 4, &features));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(1), 2, &rois));
  TF_RETURN_IF_ERROR(c->WithValue(c->Dim(rois, 1), 5, &five));
  int64_t pooled_height, pooled_width;
  TF_RETURN_IF_ERROR(c->GetAttr("pooled_height", &pooled_height));
  TF_RETURN_IF_ERROR(c->GetAttr("pooled_width", &pooled_width));
  const ShapeHandle output = c->MakeShape({c->Dim(rois, 0), c->MakeDim(pooled_height),
                                           c->MakeDim(pooled_width), c->Dim(features, 3)});
  c->set_output(0, output);
  c->set_output(1, output);
  return absl::OkStatus();
}

absl::Status RoiPoolGradShapes(InferenceContext* c) {
  ShapeHandle pooled, rois, features;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 4, &pooled));
  TF_RETURN_IF_ERROR(c->Merge(pooled, c->input(1), &pooled));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(2), 2, &rois));
  TF_RETURN_IF_ERROR(c->MakeShapeFromShapeTensor(3, &features));
  TF_RETURN_IF_ERROR(c->WithRank(features, 4, &features));
  c->set_output(0, features);
  return absl::OkStatus();
}

REGISTER_OP("KerasFrcnn>RoiPool")
    .Input("features: T")
    .Input("rois: float")
    .Output("output: T")
    .Output("argmax: int32")
    .Attr("T: {half, bfloat16, float, double}")
    .Attr("pooled_height: int >= 1")
    .Attr("pooled_width: int >= 1")
    .Attr("spatial_scale: float")
    .SetShapeFn(RoiPoolShapes)
    .Doc("RoI max pooling. features [N, H, W, C], rois [K, 5] rows (batch_index, x1, y1, x2, y2).");

REGISTER_OP("KerasFrcnn>RoiPoolGrad")
    .Input("grad_output: T")
    .Input("argmax: int32")
    .Input("rois: float")
    .Input("features_shape: int32")
    .Output("grad_features: T")
    .Attr("T: {half, bfloat16, float, double}")
    .SetShapeFn(RoiPoolGradShapes)
    .Doc("Gradient of RoiPool with respect to features of shape features_shape [4].");

template <typename... Args>
absl::Status InvalidArgument(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat(args...));
}

template <typename T>
constexpr DType kDType = std::is_same_v<T, Eigen::half>         ? DType::kFloat16
                         : std::is_same_v<T, Eigen::bfloat16> ? DType::kBFloat16
                         : std::is_same_v<T, float>           ? DType::kFloat32
                                                              : DType::kFloat64;

// Runs `work(begin, end)` over [0, total) on TensorFlow's threads. `cost` is in nanoseconds or so.
template <typename Work>
void Parallel(OpKernelContext* context, int64_t total, int64_t cost, const Work& work) {
  context->device()->tensorflow_cpu_worker_threads()->workers->ParallelFor(total, cost, work);
}

// An output is fresh memory, and at 2000 RoIs the kernel spends most of its time on the page
// faults of writing it the first time: asks the system to make them large.
void AdviseHugePages(const Tensor& tensor) {
#if defined(MADV_HUGEPAGE)
  constexpr uintptr_t kHugePage = 2 << 20;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(tensor.data());
  const uintptr_t first = (begin + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t last = (begin + tensor.TotalBytes()) / kHugePage * kHugePage;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

template <typename T>
class RoiPoolOp : public OpKernel {
 public:
  explicit RoiPoolOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("pooled_height", &pooled_height_));
    OP_REQUIRES_OK(context, context->GetAttr("pooled_width", &pooled_width_));
    OP_REQUIRES_OK(context, context->GetAttr("spatial_scale", &spatial_scale_));
    OP_REQUIRES(context, std::isfinite(spatial_scale_) && spatial_scale_ > 0,
                InvalidArgument("spatial_scale is ", spatial_scale_, ", not a positive number"));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& features = context->input(0);
    const Tensor& rois = context->input(1);
    OP_REQUIRES(context, features.dims() == 4,
                InvalidArgument("features must be [N, H, W, C], not ",
                                features.shape().DebugString()));
    OP_REQUIRES(context, rois.dims() == 2 && rois.dim_size(1) == 5,
                InvalidArgument("rois must be [K, 5], not ", rois.shape().DebugString()));
    const RoiPoolShape shape = {features.dim_size(0), features.dim_size(1), features.dim_size(2),
                                features.dim_size(3), rois.dim_size(0),     pooled_height_,
                                pooled_width_};
    constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
    OP_REQUIRES(context, shape.h * shape.w <= kMax,
                InvalidArgument("features have ", shape.h, " x ", shape.w,
                                " cells, more than an int32 argmax can name"));
    TensorShape output_shape;
    OP_REQUIRES_OK(context, TensorShape::BuildTensorShape(
                                {shape.k, shape.ph, shape.pw, shape.c}, &output_shape));

    Tensor bins;
    OP_REQUIRES(context, shape.ph + shape.pw < kMax / 4,
                InvalidArgument("pooled size ", shape.ph, " x ", shape.pw, " is too large"));
    TensorShape bins_shape;
    OP_REQUIRES_OK(context,
                   TensorShape::BuildTensorShape({shape.k, BinsPerRoi(shape)}, &bins_shape));
    OP_REQUIRES_OK(context, context->allocate_temp(tensorflow::DT_INT32, bins_shape, &bins));
    const float* boxes = rois.flat<float>().data();
    const int64_t bad = ComputeBins(boxes, spatial_scale_, shape, bins.flat<int32_t>().data());
    OP_REQUIRES(context, bad == shape.k, BadRow(boxes + 5 * bad, bad, shape.n));

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

    const PoolArgs args = {shape,
                           keys.data(),
                           cell_stride,
                           bins.flat<int32_t>().data(),
                           output->data(),
                           argmax ? argmax->flat<int32_t>().data() : nullptr};
    const auto pool = negative_zero ? kernels.pool_zeros[type]
                      : argmax      ? kernels.pool_argmax[type]
                                    : kernels.pool[type];
    const int64_t cost = 1 + shape.ph * shape.pw * shape.c / (kLanes / 4);
    Parallel(context, shape.k, cost,
             [&](int64_t begin, int64_t end) { pool(args, begin, end); });
  }

 private:
  static absl::Status BadRow(const float* roi, int64_t row, int64_t n) {
    return InvalidArgument("rois row ", row, " is (", roi[0], ", ", roi[1], ", ", roi[2], ", ",
                           roi[3], ", ", roi[4], "): the batch index must be in [0, ", n,
                           ") and the coordinates finite");
  }

  int64_t pooled_height_, pooled_width_;
  float spatial_scale_;
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
    OP_REQUIRES(context, grad_output.dims() == 4 && grad_output.shape() == argmax.shape(),
                InvalidArgument("grad_output and argmax must be [K, PH, PW, C], not ",
                                grad_output.shape().DebugString(), " and ",
                                argmax.shape().DebugString()));
    OP_REQUIRES(context,
                rois.dims() == 2 && rois.dim_size(1) == 5 &&
                    rois.dim_size(0) == grad_output.dim_size(0),
                InvalidArgument("rois must be [", grad_output.dim_size(0), ", 5], not ",
                                rois.shape().DebugString()));
    OP_REQUIRES(context, features_shape.dims() == 1 && features_shape.dim_size(0) == 4,
                InvalidArgument("features_shape must have 4 elements, not ",
                                features_shape.shape().DebugString()));
    TensorShape output_shape;
    OP_REQUIRES_OK(context, tensorflow::TensorShapeUtils::MakeShape(
                                features_shape.flat<int32_t>().data(), 4, &output_shape));
    const RoiPoolShape shape = {output_shape.dim_size(0), output_shape.dim_size(1),
                                output_shape.dim_size(2), output_shape.dim_size(3),
                                rois.dim_size(0),         grad_output.dim_size(1),
                                grad_output.dim_size(2)};
    OP_REQUIRES(context, shape.c == grad_output.dim_size(3),
                InvalidArgument("features_shape has ", shape.c, " channels, grad_output ",
                                grad_output.dim_size(3)));
    OP_REQUIRES(context, shape.h * shape.w <= std::numeric_limits<int32_t>::max(),
                InvalidArgument("features_shape has too many cells"));
    const float* boxes = rois.flat<float>().data();
    for (int64_t k = 0; k < shape.k; ++k) {
      OP_REQUIRES(context, boxes[5 * k] >= 0 && boxes[5 * k] < static_cast<float>(shape.n),
                  InvalidArgument("rois row ", k, ": the batch index ", boxes[5 * k],
                                  " must be in [0, ", shape.n, ")"));
    }

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
    const ScatterArgs args = {shape, grad_output.data(), argmax.flat<int32_t>().data(), boxes,
                              sum.data()};
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

#define REGISTER_CPU(type)                                                      \
  REGISTER_KERNEL_BUILDER(Name("KerasFrcnn>RoiPool")                            \
                              .Device(tensorflow::DEVICE_CPU)                   \
                              .TypeConstraint<type>("T"),                       \
                          RoiPoolOp<type>);                                     \
  REGISTER_KERNEL_BUILDER(Name("KerasFrcnn>RoiPoolGrad")                        \
                              .Device(tensorflow::DEVICE_CPU)                   \
                              .TypeConstraint<type>("T"),                       \
                          RoiPoolGradOp<type>)

REGISTER_CPU(Eigen::half);
REGISTER_CPU(Eigen::bfloat16);
REGISTER_CPU(float);
REGISTER_CPU(double);

}  // namespace
}  // namespace keras_frcnn
