// The C interface of the CUDA kernels, with every thread of every launch played on the host, one
// after another. Everything but the launch itself is the code that runs on the device.

#include <cstring>

#include "roi_align_cuda.h"
#include "roi_align_cuda_launch.h"
#include "roi_pool_cuda.h"
#include "roi_pool_cuda_launch.h"

namespace {

using keras_frcnn::cuda::kLanes;
using keras_frcnn::cuda::kWarps;
using keras_frcnn::cuda::Thread;

// At most this many blocks, so that small tests go around the grid too.
int64_t most_blocks = INT64_MAX;

struct HostLauncher {
  template <typename Body>
  int operator()(const Body& body, int64_t blocks) {
    if (blocks > most_blocks) blocks = most_blocks;
    for (int64_t block = 0; block < blocks; ++block) {
      for (int warp = 0; warp < kWarps; ++warp) {
        for (int lane = 0; lane < kLanes; ++lane) body(Thread{block, blocks, warp, lane});
      }
    }
    return 0;
  }

  int Zero(void* memory, int64_t bytes) {
    std::memset(memory, 0, bytes);
    return 0;
  }
};

}  // namespace

KERAS_FRCNN_EXPORT void LimitBlocks(int64_t blocks) { most_blocks = blocks; }

int KerasFrcnnCudaBins(const keras_frcnn::RoiPoolShape* shape, const float* rois,
                       float spatial_scale, int32_t* bins, int64_t* first_bad,
                       keras_frcnn::CudaCall*) {
  HostLauncher launch;
  return keras_frcnn::cuda::LaunchBins(*shape, rois, spatial_scale, bins, first_bad, launch);
}

int KerasFrcnnCudaPool(int dtype, const keras_frcnn::CudaPoolArgs* args, keras_frcnn::CudaCall*) {
  HostLauncher launch;
  return keras_frcnn::cuda::LaunchPool(dtype, *args, launch);
}

int KerasFrcnnCudaGrad(int dtype, const keras_frcnn::CudaGradArgs* args, int deterministic,
                       keras_frcnn::CudaCall*) {
  HostLauncher launch;
  return keras_frcnn::cuda::LaunchGrad(dtype, *args, deterministic != 0, launch);
}

int64_t KerasFrcnnCudaGradScratch(int dtype, const keras_frcnn::RoiPoolShape* shape,
                                  int deterministic) {
  return keras_frcnn::cuda::GradScratch(dtype, *shape, deterministic != 0);
}

int64_t KerasFrcnnPlaceRois(const float* rois, int64_t k, float spatial_scale,
                            const keras_frcnn::AlignGrid* grid, int64_t n,
                            keras_frcnn::PlacedRoi* placed, int* fault) {
  return keras_frcnn::cuda::PlaceRois(rois, k, spatial_scale, *grid, n, placed, fault);
}

int KerasFrcnnCudaAlign(int dtype, const keras_frcnn::CudaAlignArgs* args,
                        keras_frcnn::CudaCall*) {
  HostLauncher launch;
  return keras_frcnn::cuda::LaunchAlign(dtype, *args, launch);
}

int KerasFrcnnCudaAlignGrad(int dtype, const keras_frcnn::CudaAlignGradArgs* args,
                            int deterministic, keras_frcnn::CudaCall*) {
  HostLauncher launch;
  return keras_frcnn::cuda::LaunchAlignGrad(dtype, *args, deterministic != 0, launch);
}

int64_t KerasFrcnnCudaAlignGradScratch(int dtype, const keras_frcnn::RoiPoolShape* shape,
                                       int deterministic) {
  return keras_frcnn::cuda::AlignGradScratch(dtype, *shape, deterministic != 0);
}

const char* KerasFrcnnCudaErrorString(int error) {
  return error == keras_frcnn::cuda::kInvalidValue ? "invalid argument" : "no error";
}
