// The element types as the CPU kernels see them, and the width of their vectors; included by files
// that define KERAS_FRCNN_ISA.

#ifndef KERAS_FRCNN_CPU_TYPES_H_
#define KERAS_FRCNN_CPU_TYPES_H_

#include <cstdint>

namespace keras_frcnn {
namespace KERAS_FRCNN_ISA {
namespace {

// Bits of a type as an integer; the keys of +inf and of the lowest finite number.
struct Float16 {
  using Key = int16_t;
  using Sum = float;
  static constexpr Key kInfinity = 0x7c00, kLowest = static_cast<Key>(0x8400);
  static float ToSum(Key bits) {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
    const uint32_t rest = static_cast<uint32_t>(bits & 0x7fff) << 13;
    const bool special = rest >= (0x7c00u << 13);     // infinity or NaN
    const bool subnormal = rest < (0x0400u << 13);
    // The exponent's bias is moved. A subnormal half is 2^-14 less than the normal float of its
    // bits; no float is subnormal on the way, for TensorFlow's threads take those as zero.
    float magnitude = Bits<float>(rest + 0x38000000u);
    if (subnormal) magnitude = Bits<float>(rest + 0x38800000u) - Bits<float>(0x38800000u);
    if (special) magnitude = Bits<float>(rest | 0x7f800000u);
    return Bits<float>(Bits<uint32_t>(magnitude) | sign);
  }
  static Key FromSum(float value) {
    const uint32_t bits = Bits<uint32_t>(value);
    const uint32_t sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
    uint32_t half;
    if (magnitude > 0x7f800000u) {
      half = 0x7e00;  // NaN
    } else if (magnitude >= 0x477ff000u) {
      half = 0x7c00;  // rounds to infinity
    } else if (magnitude < 0x38800000u) {
      // Subnormal halves: adding 0.5 leaves the rounded multiple of 2^-24 in the last bits.
      half = Bits<uint32_t>(Bits<float>(magnitude) + 0.5f) - 0x3f000000u;
    } else {
      half = (magnitude - 0x38000000u + 0xfff + ((magnitude >> 13) & 1)) >> 13;
    }
    return static_cast<Key>(sign | half);
  }
  template <typename To, typename From>
  static To Bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "same size");
    To to;
    __builtin_memcpy(&to, &from, sizeof(to));
    return to;
  }
};

struct BFloat16 {
  using Key = int16_t;
  using Sum = float;
  static constexpr Key kInfinity = 0x7f80, kLowest = static_cast<Key>(0x8080);
  static float ToSum(Key bits) {
    return Float16::Bits<float>(static_cast<uint32_t>(static_cast<uint16_t>(bits)) << 16);
  }
  static Key FromSum(float value) {
    const uint32_t bits = Float16::Bits<uint32_t>(value);
    if ((bits & 0x7fffffff) > 0x7f800000u) return 0x7fc0;  // NaN
    return static_cast<Key>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
  }
};

struct Float32 {
  using Key = int32_t;
  using Sum = float;
  static constexpr Key kInfinity = 0x7f800000, kLowest = static_cast<Key>(0x80800000u);
  static float ToSum(Key bits) { return Float16::Bits<float>(bits); }
};

struct Float64 {
  using Key = int64_t;
  using Sum = double;
  static constexpr Key kInfinity = 0x7ff0000000000000;
  static constexpr Key kLowest = static_cast<Key>(0x8010000000000000u);
  static double ToSum(Key bits) { return Float16::Bits<double>(bits); }
};

template <typename T>
using Key = typename T::Key;

// The register's width.
#if defined(__AVX512BW__)
constexpr int kRegisterBytes = 64;
#elif defined(__AVX2__)
constexpr int kRegisterBytes = 32;
#else
constexpr int kRegisterBytes = 16;
#endif

}  // namespace
}  // namespace KERAS_FRCNN_ISA
}  // namespace keras_frcnn

#endif  // KERAS_FRCNN_CPU_TYPES_H_
