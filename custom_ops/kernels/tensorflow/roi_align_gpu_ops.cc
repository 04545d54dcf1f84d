// The GPU kernels of RoIAlign, on TensorFlow's tensors and stream. Nothing here waits for the GPU.
//
// The rois and levels lie in host memory, for the reasons of roi_pool_gpu_ops.cc: each row is
// checked, and placed on its map, before anything runs. The placed RoIs, 36 bytes each, go to the
// device, those of a map side by side and in the order of their rows.

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "gpu_op.h"
#include "roi_align_cuda.h"
#include "roi_align_op_inputs.h"
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

// The placed RoIs on the device, sorted by map: those of map i are [first[i], first[i + 1]).
class DeviceRois {
 public:
  absl::Status Copy(OpKernelContext* context, const std::vector<PlacedRoi>& rois, size_t maps) {
    first_.assign(maps + 1, 0);
    for (const PlacedRoi& roi : rois) ++first_[roi.level + 1];
    for (size_t i = 0; i < maps; ++i) first_[i + 1] += first_[i];
    std::vector<PlacedRoi> sorted(rois.size());
    std::vector<int64_t> next = first_;
    for (const PlacedRoi& roi : rois) sorted[next[roi.level]++] = roi;
    return CopyToDevice(context, sorted.data(), sorted.size() * sizeof(PlacedRoi), &memory_);
  }

  const PlacedRoi* of_map(size_t i) const {
    return static_cast<const PlacedRoi*>(memory_.data()) + first_[i];
  }
  int64_t count(size_t i) const { return first_[i + 1] - first_[i]; }

 private:
  Tensor memory_;
  std::vector<int64_t> first_;
};

RoiPoolShape ShapeOf(const Level& map, int64_t channels, int64_t rois, const AlignGrid& grid) {
  return {map.n, map.h, map.w, channels, rois, grid.ph, grid.pw};
}

// A launch for each map that has RoIs, into the same output.
template <typename T>
class RoiAlignGpuOp : public OpKernel {
 public:
  explicit RoiAlignGpuOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, attributes_.ReadWithSize(context));
  }

  void Compute(OpKernelContext* context) override {
    AlignInputs in;
    OP_REQUIRES_OK(context, in.Read(context, attributes_));
    Tensor* output = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, in.output_shape, &output));
    if (in.output_shape.num_elements() == 0) return;
    DeviceRois rois;
    OP_REQUIRES_OK(context, rois.Copy(context, in.rois, in.maps.size()));
    CudaCall call = {CudaStream(context), nullptr, 0, 0};
    for (size_t i = 0; i < in.maps.size(); ++i) {
      const CudaAlignArgs args = {
          ShapeOf(in.maps[i], in.channels, rois.count(i), attributes_.grid()),
          in.features[static_cast<int>(i)].data(), rois.of_map(i), output->data()};
      const int type = static_cast<int>(kDType<T>);
      OP_REQUIRES_OK(context, CudaStatus(KerasFrcnnCudaAlign(type, &args, &call)));
    }
  }

 private:
  AlignAttributes attributes_;
};

template <typename T>
class RoiAlignGradGpuOp : public OpKernel {
 public:
  explicit RoiAlignGradGpuOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, attributes_.Read(context));
  }

  void Compute(OpKernelContext* context) override {
    AlignGradInputs in;
    OP_REQUIRES_OK(context, in.Read(context, attributes_));
    DeviceRois rois;
    OP_REQUIRES_OK(context, rois.Copy(context, in.rois, in.maps.size()));
    const int type = static_cast<int>(kDType<T>);
    const int deterministic = tensorflow::OpDeterminismRequired();
    CudaCall call = {CudaStream(context), nullptr, 0, 0};
    for (size_t i = 0; i < in.maps.size(); ++i) {
      Tensor* grad = nullptr;
      OP_REQUIRES_OK(context,
                     context->allocate_output(static_cast<int>(i), in.shapes[i], &grad));
      const RoiPoolShape shape = ShapeOf(in.maps[i], in.channels, rois.count(i), in.grid);
      // The stream is done with this memory before it runs whatever gets it next.
      Tensor scratch;
      const TensorShape bytes({KerasFrcnnCudaAlignGradScratch(type, &shape, deterministic)});
      OP_REQUIRES_OK(context, context->allocate_temp(tensorflow::DT_UINT8, bytes, &scratch));
      const CudaAlignGradArgs args = {shape, in.grad_output->data(), rois.of_map(i), grad->data(),
                                      scratch.data()};
      OP_REQUIRES_OK(context,
                     CudaStatus(KerasFrcnnCudaAlignGrad(type, &args, deterministic, &call)));
    }
  }

 private:
  AlignAttributes attributes_;
};

#define REGISTER_GPU(type)                                    \
  REGISTER_KERNEL_BUILDER(Name("KerasFrcnn>RoiAlign")         \
                              .Device(tensorflow::DEVICE_GPU) \
                              .TypeConstraint<type>("T")      \
                              .HostMemory("rois")             \
                              .HostMemory("levels"),          \
                          RoiAlignGpuOp<type>);               \
  REGISTER_KERNEL_BUILDER(Name("KerasFrcnn>RoiAlignGrad")     \
                              .Device(tensorflow::DEVICE_GPU) \
                              .TypeConstraint<type>("T")      \
                              .HostMemory("rois")             \
                              .HostMemory("levels")           \
                              .HostMemory("shapes"),          \
                          RoiAlignGradGpuOp<type>)

REGISTER_GPU(Eigen::half);
REGISTER_GPU(Eigen::bfloat16);
REGISTER_GPU(float);
REGISTER_GPU(double);

}  // namespace
}  // namespace keras_frcnn
