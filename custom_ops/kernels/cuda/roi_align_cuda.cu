// The C interface of RoIAlign's CUDA kernels: launches what roi_align_cuda_launch.h chooses.

#include <cstdint>

#include "cuda_device.h"
#include "roi_align_cuda.h"
#include "roi_align_cuda_launch.h"

using keras_frcnn::cuda::DeviceLauncher;

int64_t KerasFrcnnPlaceRois(const float* rois, int64_t k, float spatial_scale,
                            const keras_frcnn::AlignGrid* grid, int64_t n,
                            keras_frcnn::PlacedRoi* placed, int* fault) {
  return keras_frcnn::cuda::PlaceRois(rois, k, spatial_scale, *grid, n, placed, fault);
}

int KerasFrcnnCudaAlign(int dtype, const keras_frcnn::CudaAlignArgs* args,
                        keras_frcnn::CudaCall* call) {
  DeviceLauncher launch(call);
  return keras_frcnn::cuda::LaunchAlign(dtype, *args, launch);
}

int KerasFrcnnCudaAlignGrad(int dtype, const keras_frcnn::CudaAlignGradArgs* args,
                            int deterministic, keras_frcnn::CudaCall* call) {
  DeviceLauncher launch(call);
  return keras_frcnn::cuda::LaunchAlignGrad(dtype, *args, deterministic != 0, launch);
}

int64_t KerasFrcnnCudaAlignGradScratch(int dtype, const keras_frcnn::RoiPoolShape* shape,
                                       int deterministic) {
  return keras_frcnn::cuda::AlignGradScratch(dtype, *shape, deterministic != 0);
}
