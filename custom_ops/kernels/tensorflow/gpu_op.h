// What the GPU kernels of all ops share: errors, the stream, copies to the device.

#ifndef KERAS_FRCNN_GPU_OP_H_
#define KERAS_FRCNN_GPU_OP_H_

#include <cstdint>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "cuda_call.h"
#include "tensorflow/core/common_runtime/device/device_event_mgr.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "xla/stream_executor/stream.h"

namespace keras_frcnn {

inline absl::Status CudaStatus(int error) {
  if (error == 0) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("an op for regions on the GPU: ", KerasFrcnnCudaErrorString(error)));
}

inline void* CudaStream(tensorflow::OpKernelContext* context) {
  return context->op_device_context()->stream()->platform_specific_handle().stream;
}

// Copies `bytes` of host memory to the device by way of pinned memory, for a copy from other memory
// may wait for the stream. The pinned memory is kept until the stream has come past the copy.
inline absl::Status CopyToDevice(tensorflow::OpKernelContext* context, const void* from,
                                 int64_t bytes, tensorflow::Tensor* on_device) {
  tensorflow::AllocatorAttributes pinned_memory;
  pinned_memory.set_on_host(true);
  pinned_memory.set_gpu_compatible(true);
  const tensorflow::TensorShape shape({bytes});
  tensorflow::Tensor pinned;
  TF_RETURN_IF_ERROR(
      context->allocate_temp(tensorflow::DT_UINT8, shape, &pinned, pinned_memory));
  TF_RETURN_IF_ERROR(context->allocate_temp(tensorflow::DT_UINT8, shape, on_device));
  if (bytes == 0) return absl::OkStatus();
  std::memcpy(pinned.data(), from, bytes);
  TF_RETURN_IF_ERROR(CudaStatus(KerasFrcnnCudaCopyToDevice(on_device->data(), pinned.data(), bytes,
                                                           CudaStream(context))));
  context->device()->tensorflow_accelerator_device_info()->event_mgr->ThenExecute(
      context->op_device_context()->stream(), [pinned] {});
  return absl::OkStatus();
}

}  // namespace keras_frcnn

#endif  // KERAS_FRCNN_GPU_OP_H_
