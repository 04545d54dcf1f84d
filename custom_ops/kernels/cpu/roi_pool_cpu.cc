// Chooses the CPU kernels at run time.

#include "roi_pool.h"

namespace keras_frcnn {

namespace baseline {
extern const CpuKernels kKernels;
}
#if defined(__x86_64__)
namespace avx2 {
extern const CpuKernels kKernels;
}
namespace avx512 {
extern const CpuKernels kKernels;
}
#endif

const CpuKernels* const* AvailableCpuKernels() {
  struct List {
    const CpuKernels* kernels[4] = {};
    List() {
      int count = 0;
#if defined(__x86_64__)
      __builtin_cpu_init();
      if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
          __builtin_cpu_supports("avx512dq")) {
        kernels[count++] = &avx512::kKernels;
      }
      if (__builtin_cpu_supports("avx2")) kernels[count++] = &avx2::kKernels;
#endif
      kernels[count] = &baseline::kKernels;
    }
  };
  static const List list;
  return list.kernels;
}

const CpuKernels& BestCpuKernels() { return *AvailableCpuKernels()[0]; }

// The instruction set in use, for messages.
extern "C" __attribute__((visibility("default"))) const char* KerasFrcnnCpuKernels() {
  return BestCpuKernels().name;
}

}  // namespace keras_frcnn
