// What the CPU kernels of all ops use of TensorFlow: its threads, and memory that was never touched.

#ifndef KERAS_FRCNN_CPU_OP_H_
#define KERAS_FRCNN_CPU_OP_H_

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstdint>

#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/lib/core/threadpool.h"

namespace keras_frcnn {

// Runs `work(begin, end)` over [0, total) on TensorFlow's threads. `cost` is in nanoseconds or so.
template <typename Work>
void Parallel(tensorflow::OpKernelContext* context, int64_t total, int64_t cost, const Work& work) {
  context->device()->tensorflow_cpu_worker_threads()->workers->ParallelFor(total, cost, work);
}

// An output is fresh memory, and at 2000 RoIs the kernel spends most of its time on the page
// faults of writing it the first time: asks the system to make them large.
inline void AdviseHugePages(const tensorflow::Tensor& tensor) {
#if defined(MADV_HUGEPAGE)
  constexpr uintptr_t kHugePage = 2 << 20;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(tensor.data());
  const uintptr_t first = (begin + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t last = (begin + tensor.TotalBytes()) / kHugePage * kHugePage;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

}  // namespace keras_frcnn

#endif  // KERAS_FRCNN_CPU_OP_H_
