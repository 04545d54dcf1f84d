// The C interface of RoI pooling's CUDA kernels: launches what roi_pool_cuda_launch.h chooses.

#include <cstdint>

#include "cuda_device.h"
#include "roi_pool_cuda.h"
#include "roi_pool_cuda_launch.h"

using keras_frcnn::cuda::DeviceLauncher;

int KerasFrcnnCudaBins(const keras_frcnn::RoiPoolShape* shape, const float* rois,
                       float spatial_scale, int32_t* bins, int64_t* first_bad,
                       keras_frcnn::CudaCall* call) {
  DeviceLauncher launch(call);
  return keras_frcnn::cuda::LaunchBins(*shape, rois, spatial_scale, bins, first_bad, launch);
}

int KerasFrcnnCudaPool(int dtype, const keras_frcnn::CudaPoolArgs* args,
                       keras_frcnn::CudaCall* call) {
  DeviceLauncher launch(call);
  return keras_frcnn::cuda::LaunchPool(dtype, *args, launch);
}

int KerasFrcnnCudaGrad(int dtype, const keras_frcnn::CudaGradArgs* args, int deterministic,
                       keras_frcnn::CudaCall* call) {
  DeviceLauncher launch(call);
  return keras_frcnn::cuda::LaunchGrad(dtype, *args, deterministic != 0, launch);
}

int64_t KerasFrcnnCudaGradScratch(int dtype, const keras_frcnn::RoiPoolShape* shape,
                                  int deterministic) {
  return keras_frcnn::cuda::GradScratch(dtype, *shape, deterministic != 0);
}
