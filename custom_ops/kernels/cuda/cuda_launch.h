// What the choice of kernels for a call of the C interface has in common. A `Launcher` runs them:
// on the device that of cuda_device.h, on the host that of a test.
//
//   int Launcher::operator()(const Body& body, int64_t blocks)
//   int Launcher::Zero(void* memory, int64_t bytes)
//
// Both return 0 for success, and so do the functions here.

#ifndef KERAS_FRCNN_CUDA_LAUNCH_H_
#define KERAS_FRCNN_CUDA_LAUNCH_H_

#include <cstdint>

#include "cuda_types.h"
#include "roi_pool.h"

namespace keras_frcnn {
namespace cuda {

constexpr int kInvalidValue = 1;  // cudaErrorInvalidValue
constexpr int kThreads = kLanes * kWarps;

inline int64_t Divide(int64_t a, int64_t b) { return (a + b - 1) / b; }  // rounded up

inline int64_t Cells(const RoiPoolShape& s) { return s.n * s.h * s.w; }
inline int64_t Bins(const RoiPoolShape& s) { return s.k * s.ph * s.pw; }

// Whether kCount elements of E can be read at once from `p` and from every multiple of `stride`.
template <typename E, int kCount>
bool IsAligned(const void* p, int64_t stride) {
  return reinterpret_cast<uintptr_t>(p) % alignof(Pack<E, kCount>) == 0 && stride % kCount == 0;
}

// Calls `function(T{})` with the type's traits.
template <typename Function>
int ForType(int dtype, const Function& function) {
  switch (static_cast<DType>(dtype)) {
    case DType::kFloat16:
      return function(Float16{});
    case DType::kBFloat16:
      return function(BFloat16{});
    case DType::kFloat32:
      return function(Float32{});
    case DType::kFloat64:
      return function(Float64{});
  }
  return kInvalidValue;
}

// Rounds the float32 sums of a half type.
template <typename T>
struct RoundSums {
  static constexpr const char* kName = "rounding of the sums";
  static constexpr int kBlocksAtOnce = 1;

  const typename T::Sum* sum;
  typename T::Element* grad;
  int64_t count;

  KERAS_FRCNN_HOST_DEVICE void operator()(const Thread& thread) const {
    for (int64_t i = thread.Index(); i < count; i += thread.Count()) grad[i] = T::FromSum(sum[i]);
  }
};

// Lets `add(sum)` add to `count` zeros: of a half type to float32 sums in the scratch memory, which
// are rounded then; of the others where the gradient belongs.
template <typename T, typename Launcher, typename Add>
int LaunchSums(void* grad, void* scratch, int64_t count, Launcher& launch, const Add& add) {
  using Sum = typename T::Sum;
  constexpr bool kRounded = sizeof(Sum) != sizeof(typename T::Element);
  Sum* const sum = static_cast<Sum*>(kRounded ? scratch : grad);
  if (const int error = launch.Zero(sum, count * sizeof(Sum))) return error;
  if (const int error = add(sum)) return error;
  if constexpr (kRounded) {
    return launch(RoundSums<T>{sum, static_cast<typename T::Element*>(grad), count},
                  Divide(count, kThreads));
  }
  return 0;
}

// Bytes of scratch memory that LaunchSums needs.
inline int64_t SumScratch(int dtype, int64_t count) {
  const bool rounded = static_cast<DType>(dtype) == DType::kFloat16 ||
                       static_cast<DType>(dtype) == DType::kBFloat16;
  return rounded ? count * static_cast<int64_t>(sizeof(float)) : 0;
}

}  // namespace cuda
}  // namespace keras_frcnn

#endif  // KERAS_FRCNN_CUDA_LAUNCH_H_
