// What the programs share that run kernels over cases: memory of exact size, and reading.

#ifndef KERAS_FRCNN_SWEEP_H_
#define KERAS_FRCNN_SWEEP_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "roi_pool.h"

namespace keras_frcnn {

struct FreeDeleter {
  void operator()(void* p) const { std::free(p); }
};

// Memory of exactly `size` bytes, so that the address sanitizer sees the first byte beyond.
class Buffer {
 public:
  explicit Buffer(int64_t size) : size_(size) {
    void* memory = nullptr;
    if (posix_memalign(&memory, kVectorBytes, size ? size : 1)) std::abort();
    data_.reset(memory);
    std::memset(memory, 0xAB, size);
  }
  template <typename T = void>
  T* data() const {
    return static_cast<T*>(data_.get());
  }
  int64_t size() const { return size_; }
  bool operator==(const Buffer& other) const {
    return size_ == other.size_ && !std::memcmp(data(), other.data(), size_);
  }

 private:
  int64_t size_;
  std::unique_ptr<void, FreeDeleter> data_;
};

inline bool Read(FILE* file, void* to, int64_t size) {
  return static_cast<int64_t>(std::fread(to, 1, size, file)) == size;
}

inline Buffer ReadBuffer(FILE* file, int64_t size) {
  Buffer buffer(size);
  if (!Read(file, buffer.data(), size)) std::abort();
  return buffer;
}

inline int failures = 0;

inline void Check(bool good, const char* kernels, int64_t number, const char* what) {
  if (good) return;
  ++failures;
  std::fprintf(stderr, "%s: case %lld: wrong %s\n", kernels, static_cast<long long>(number), what);
}

}  // namespace keras_frcnn

#endif  // KERAS_FRCNN_SWEEP_H_
