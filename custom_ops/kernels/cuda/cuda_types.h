// What the CUDA kernels need of a feature type and of a warp, for the device and for a host that
// plays the threads one after another. The two differ in the few functions of the last part.

#ifndef KERAS_FRCNN_CUDA_TYPES_H_
#define KERAS_FRCNN_CUDA_TYPES_H_

#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

#include "roi_pool.h"

namespace keras_frcnn {
namespace cuda {

constexpr int kLanes = 32;  // threads of a warp
constexpr int kWarps = 8;   // warps of a block

// One thread of a launch.
struct Thread {
  int64_t block, blocks;
  int32_t warp, lane;

  KERAS_FRCNN_HOST_DEVICE int64_t Index() const {
    return (block * kWarps + warp) * kLanes + lane;
  }
  KERAS_FRCNN_HOST_DEVICE int64_t Count() const { return blocks * kWarps * kLanes; }
};

template <typename To, typename From>
KERAS_FRCNN_HOST_DEVICE inline To BitCast(From from) {
  static_assert(sizeof(To) == sizeof(From), "same size");
  To to;
  memcpy(&to, &from, sizeof(to));
  return to;
}

// Elements that lie side by side and move as one.
template <typename E, int kCount>
struct alignas(sizeof(E) * kCount < 16 ? sizeof(E) * kCount : 16) Pack {
  E at[kCount];
};

// A type's elements as bits. Maxima are found in words, which hold two elements of a half type, so
// that one instruction compares both.
struct Float32 {
  using Element = uint32_t;
  using Word = uint32_t;
  using Sum = float;
  static constexpr Word kLowest = 0xff7fffffu;
  KERAS_FRCNN_HOST_DEVICE static bool Greater(Word a, Word b) {
    return BitCast<float>(a) > BitCast<float>(b);
  }
  KERAS_FRCNN_HOST_DEVICE static float ToSum(Element bits) { return BitCast<float>(bits); }
  KERAS_FRCNN_HOST_DEVICE static Element FromSum(float sum) { return BitCast<Element>(sum); }
};

struct Float64 {
  using Element = uint64_t;
  using Word = uint64_t;
  using Sum = double;
  static constexpr Word kLowest = 0xffefffffffffffffu;
  KERAS_FRCNN_HOST_DEVICE static bool Greater(Word a, Word b) {
    return BitCast<double>(a) > BitCast<double>(b);
  }
  KERAS_FRCNN_HOST_DEVICE static double ToSum(Element bits) { return BitCast<double>(bits); }
  KERAS_FRCNN_HOST_DEVICE static Element FromSum(double sum) { return BitCast<Element>(sum); }
};

struct Float16 {
  using Element = uint16_t;
  using Word = uint32_t;
  using Sum = float;
  static constexpr Word kLowest = 0xfbfffbffu;
  // All ones in each half of the word where a's element is greater than b's.
  KERAS_FRCNN_HOST_DEVICE static Word Greater(Word a, Word b);
  KERAS_FRCNN_HOST_DEVICE static float ToSum(Element bits) {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
    const uint32_t rest = static_cast<uint32_t>(bits & 0x7fff) << 13;
    // The exponent's bias is moved. A subnormal half is 2^-14 less than the normal float of its bits.
    float magnitude = BitCast<float>(rest + 0x38000000u);
    if (rest < (0x0400u << 13)) {
      magnitude = BitCast<float>(rest + 0x38800000u) - BitCast<float>(0x38800000u);
    } else if (rest >= (0x7c00u << 13)) {
      magnitude = BitCast<float>(rest | 0x7f800000u);  // infinity or NaN
    }
    return BitCast<float>(BitCast<uint32_t>(magnitude) | sign);
  }
  KERAS_FRCNN_HOST_DEVICE static Element FromSum(float sum) {
    const uint32_t bits = BitCast<uint32_t>(sum);
    const uint32_t sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
    uint32_t half;
    if (magnitude > 0x7f800000u) {
      half = 0x7e00;  // NaN
    } else if (magnitude >= 0x477ff000u) {
      half = 0x7c00;  // rounds to infinity
    } else if (magnitude < 0x38800000u) {
      // Subnormal halves: adding 0.5 leaves the rounded multiple of 2^-24 in the last bits.
      half = BitCast<uint32_t>(BitCast<float>(magnitude) + 0.5f) - 0x3f000000u;
    } else {
      half = (magnitude - 0x38000000u + 0xfff + ((magnitude >> 13) & 1)) >> 13;
    }
    return static_cast<Element>(sign | half);
  }
};

struct BFloat16 {
  using Element = uint16_t;
  using Word = uint32_t;
  using Sum = float;
  static constexpr Word kLowest = 0xff7fff7fu;
  KERAS_FRCNN_HOST_DEVICE static Word Greater(Word a, Word b);
  KERAS_FRCNN_HOST_DEVICE static float ToSum(Element bits) {
    return BitCast<float>(static_cast<uint32_t>(bits) << 16);
  }
  KERAS_FRCNN_HOST_DEVICE static Element FromSum(float sum) {
    const uint32_t bits = BitCast<uint32_t>(sum);
    if ((bits & 0x7fffffff) > 0x7f800000u) return 0x7fc0;  // NaN
    return static_cast<Element>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
  }
};

// A rectangle of cells, its last row and column included.
struct alignas(16) Box {
  int32_t top, left, bottom, right;

  KERAS_FRCNN_HOST_DEVICE static Box Empty() { return {INT32_MAX, INT32_MAX, -1, -1}; }
  KERAS_FRCNN_HOST_DEVICE void Add(const Box& other) {
    top = other.top < top ? other.top : top;
    left = other.left < left ? other.left : left;
    bottom = other.bottom > bottom ? other.bottom : bottom;
    right = other.right > right ? other.right : right;
  }
  KERAS_FRCNN_HOST_DEVICE bool Contains(int32_t y, int32_t x) const {
    return top <= y && y <= bottom && left <= x && x <= right;
  }
};

// Reads memory that the kernel does not write, and writes, a whole pack at once. On a device that is
// 16 bytes an instruction where the pack is aligned to that; the compiler would split the pack.
template <typename P>
KERAS_FRCNN_HOST_DEVICE inline P Read(const void* from) {
#ifdef __CUDA_ARCH__
  if constexpr (alignof(P) == 16) {
    uint4 parts[sizeof(P) / 16];
    for (size_t i = 0; i < sizeof(P) / 16; ++i) parts[i] = __ldg(static_cast<const uint4*>(from) + i);
    P pack;
    memcpy(&pack, parts, sizeof(pack));
    return pack;
  }
#endif
  return *static_cast<const P*>(from);
}

template <typename P>
KERAS_FRCNN_HOST_DEVICE inline void Write(const P& pack, void* to) {
#ifdef __CUDA_ARCH__
  if constexpr (alignof(P) == 16) {
    uint4 parts[sizeof(P) / 16];
    memcpy(parts, &pack, sizeof(pack));
    for (size_t i = 0; i < sizeof(P) / 16; ++i) __stwb(static_cast<uint4*>(to) + i, parts[i]);
    return;
  }
#endif
  *static_cast<P*>(to) = pack;
}

// Two elements of a word compared by their values as float32.
template <typename T>
KERAS_FRCNN_HOST_DEVICE inline uint32_t GreaterByValue(uint32_t a, uint32_t b) {
  const auto value = [](uint32_t bits) { return T::ToSum(static_cast<uint16_t>(bits)); };
  return (value(a) > value(b) ? 0xffffu : 0u) | (value(a >> 16) > value(b >> 16) ? 0xffff0000u : 0u);
}

// --- What a device does in one instruction or with the whole warp, and a host does itself. ---
// On the host, `lane` is one of the threads that are played one after another; where a warp acts
// together, each of them works out the whole warp's result.

KERAS_FRCNN_HOST_DEVICE inline uint32_t Float16::Greater(uint32_t a, uint32_t b) {
#ifdef __CUDA_ARCH__
  return __hgt2_mask(BitCast<__half2>(a), BitCast<__half2>(b));
#else
  return GreaterByValue<Float16>(a, b);
#endif
}

KERAS_FRCNN_HOST_DEVICE inline uint32_t BFloat16::Greater(uint32_t a, uint32_t b) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  return __hgt2_mask(BitCast<__nv_bfloat162>(a), BitCast<__nv_bfloat162>(b));
#else
  return GreaterByValue<BFloat16>(a, b);
#endif
}

template <typename S>
KERAS_FRCNN_HOST_DEVICE inline void AtomicAdd(S* sum, S value) {
#ifdef __CUDA_ARCH__
  atomicAdd(sum, value);
#else
  *sum += value;
#endif
}

KERAS_FRCNN_HOST_DEVICE inline void AtomicMin(int64_t* least, int64_t value) {
#ifdef __CUDA_ARCH__
  atomicMin(reinterpret_cast<long long*>(least), static_cast<long long>(value));
#else
  *least = value < *least ? value : *least;
#endif
}

// One bit for each lane of the warp: whether test(lane) holds. All lanes must call it.
template <typename Test>
KERAS_FRCNN_HOST_DEVICE inline uint32_t Vote(int lane, const Test& test) {
#ifdef __CUDA_ARCH__
  return __ballot_sync(0xffffffffu, test(lane));
#else
  uint32_t votes = 0;
  for (int other = 0; other < kLanes; ++other) votes |= static_cast<uint32_t>(test(other)) << other;
  static_cast<void>(lane);
  return votes;
#endif
}

// The union of part(lane) over the warp's lanes. All lanes must call it.
template <typename Part>
KERAS_FRCNN_HOST_DEVICE inline Box WarpUnion(int lane, const Part& part) {
#ifdef __CUDA_ARCH__
  Box box = part(lane);
  for (int step = kLanes / 2; step; step /= 2) {
    box.Add({__shfl_xor_sync(0xffffffffu, box.top, step),
             __shfl_xor_sync(0xffffffffu, box.left, step),
             __shfl_xor_sync(0xffffffffu, box.bottom, step),
             __shfl_xor_sync(0xffffffffu, box.right, step)});
  }
  return box;
#else
  Box box = Box::Empty();
  for (int other = 0; other < kLanes; ++other) box.Add(part(other));
  static_cast<void>(lane);
  return box;
#endif
}

// The number of zeros below the lowest one.
KERAS_FRCNN_HOST_DEVICE inline int LowestOne(uint32_t bits) {
#ifdef __CUDA_ARCH__
  return __ffs(bits) - 1;
#else
  return __builtin_ctz(bits);
#endif
}

}  // namespace cuda
}  // namespace keras_frcnn

#endif  // KERAS_FRCNN_CUDA_TYPES_H_
