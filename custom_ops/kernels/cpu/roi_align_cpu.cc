// Chooses RoIAlign's CPU kernels at run time, as roi_pool_cpu.cc does.

#include "roi_align.h"

namespace keras_frcnn {

namespace baseline {
extern const AlignKernels kAlignKernels;
extern const CpuKernels kKernels;
}  // namespace baseline
#if defined(__x86_64__)
namespace avx2 {
extern const AlignKernels kAlignKernels;
extern const CpuKernels kKernels;
}  // namespace avx2
namespace avx512 {
extern const AlignKernels kAlignKernels;
extern const CpuKernels kKernels;
}  // namespace avx512
#endif

const AlignKernels* const* AvailableAlignKernels() {
  struct List {
    const AlignKernels* kernels[4] = {};
    List() {
      int count = 0;
      for (const CpuKernels* const* pool = AvailableCpuKernels(); *pool; ++pool) {
        kernels[count] = &baseline::kAlignKernels;
#if defined(__x86_64__)
        if (*pool == &avx512::kKernels) kernels[count] = &avx512::kAlignKernels;
        if (*pool == &avx2::kKernels) kernels[count] = &avx2::kAlignKernels;
#endif
        ++count;
      }
    }
  };
  static const List list;
  return list.kernels;
}

const AlignKernels& BestAlignKernels() { return *AvailableAlignKernels()[0]; }

}  // namespace keras_frcnn
