// The GPU kernels of RoI pooling, on TensorFlow's tensors and stream. Nothing here waits for the GPU.
//
// The rois lie in host memory. They come from the input pipeline, so they are there already, and
// a bad row is found and named before anything runs, as on the CPU; a check on the GPU could only
// be reported after waiting for it. 20 bytes a RoI then go to the device.

#include "absl/status/status.h"
#include "gpu_op.h"
#include "roi_pool.h"
#include "roi_pool_cuda.h"
#include "roi_pool_op_inputs.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/util/determinism.h"

namespace keras_frcnn {
namespace {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;

// RoiPool and RoiPyramidPool: a launch for each grid, into the same output.
template <typename T>
class RoiPoolGpuOp : public OpKernel {
 public:
  explicit RoiPoolGpuOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, attributes_.Read(context));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& features = context->input(0);
    const Tensor& rois = context->input(1);
    RoiPoolShape shape;
    TensorShape output_shape;
    OP_REQUIRES_OK(context, attributes_.CheckInputs(features, rois, &shape, &output_shape));
    const float* boxes = rois.flat<float>().data();
    const int64_t good = FirstBadRoi(boxes, attributes_.spatial_scale(), shape.n, shape.k);
    OP_REQUIRES(context, good == shape.k, BadRow(boxes, good, shape.n));

    Tensor *output = nullptr, *argmax = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, output_shape, &output));
    // Nobody consumes the argmax in a graph without a gradient.
    if (context->output_required(1)) {
      OP_REQUIRES_OK(context, context->allocate_output(1, output_shape, &argmax));
    }
    if (output_shape.num_elements() == 0) return;

    Tensor device_rois;
    OP_REQUIRES_OK(context,
                   CopyToDevice(context, rois.data(), rois.TotalBytes(), &device_rois));
    CudaCall call = {CudaStream(context), nullptr, 0, 0};
    for (const PoolAttributes::Grid& grid : attributes_.grids()) {
      shape.ph = grid.ph;
      shape.pw = grid.pw;
      // The stream is done with these bins before it runs whatever gets their memory next.
      Tensor bins;
      TensorShape bins_shape;
      OP_REQUIRES_OK(context,
                     TensorShape::BuildTensorShape({shape.k, BinsPerRoi(shape)}, &bins_shape));
      OP_REQUIRES_OK(context, context->allocate_temp(tensorflow::DT_INT32, bins_shape, &bins));
      int32_t* const bounds = bins.flat<int32_t>().data();
      OP_REQUIRES_OK(context, CudaStatus(KerasFrcnnCudaBins(
                                  &shape, static_cast<const float*>(device_rois.data()),
                                  attributes_.spatial_scale(), bounds, nullptr, &call)));
      const int64_t offset = grid.first_bin * shape.c;
      const CudaPoolArgs args = {shape,
                                 features.data(),
                                 bounds,
                                 static_cast<T*>(output->data()) + offset,
                                 argmax ? argmax->flat<int32_t>().data() + offset : nullptr,
                                 attributes_.bins() * shape.c};
      const int type = static_cast<int>(kDType<T>);
      OP_REQUIRES_OK(context, CudaStatus(KerasFrcnnCudaPool(type, &args, &call)));
    }
  }

 private:
  PoolAttributes attributes_;
};

template <typename T>
class RoiPoolGradGpuOp : public OpKernel {
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
    if (output_shape.num_elements() == 0) return;

    const int type = static_cast<int>(kDType<T>);
    const int deterministic = tensorflow::OpDeterminismRequired();
    Tensor device_rois, scratch;
    OP_REQUIRES_OK(context,
                   CopyToDevice(context, rois.data(), rois.TotalBytes(), &device_rois));
    TensorShape scratch_shape;
    OP_REQUIRES_OK(context, TensorShape::BuildTensorShape(
                                {KerasFrcnnCudaGradScratch(type, &shape, deterministic)},
                                &scratch_shape));
    OP_REQUIRES_OK(context,
                   context->allocate_temp(tensorflow::DT_UINT8, scratch_shape, &scratch));
    CudaCall call = {CudaStream(context), nullptr, 0, 0};
    const CudaGradArgs args = {shape,
                               grad_output.data(),
                               argmax.flat<int32_t>().data(),
                               static_cast<const float*>(device_rois.data()),
                               grad->data(),
                               scratch.data()};
    OP_REQUIRES_OK(context, CudaStatus(KerasFrcnnCudaGrad(type, &args, deterministic, &call)));
  }
};

#define REGISTER_GPU(type)                                    \
  REGISTER_KERNEL_BUILDER(Name("KerasFrcnn>RoiPool")          \
                              .Device(tensorflow::DEVICE_GPU) \
                              .TypeConstraint<type>("T")      \
                              .HostMemory("rois"),            \
                          RoiPoolGpuOp<type>);                \
  REGISTER_KERNEL_BUILDER(Name("KerasFrcnn>RoiPyramidPool")   \
                              .Device(tensorflow::DEVICE_GPU) \
                              .TypeConstraint<type>("T")      \
                              .HostMemory("rois"),            \
                          RoiPoolGpuOp<type>);                \
  REGISTER_KERNEL_BUILDER(Name("KerasFrcnn>RoiPoolGrad")      \
                              .Device(tensorflow::DEVICE_GPU) \
                              .TypeConstraint<type>("T")      \
                              .HostMemory("rois")             \
                              .HostMemory("features_shape"),  \
                          RoiPoolGradGpuOp<type>)

REGISTER_GPU(Eigen::half);
REGISTER_GPU(Eigen::bfloat16);
REGISTER_GPU(float);
REGISTER_GPU(double);

}  // namespace
}  // namespace keras_frcnn
