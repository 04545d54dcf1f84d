// Runs all CPU kernels of this binary over the cases of a file that kernel_sweep.py wrote, and
// compares them bit for bit with the expected results in it. Needs no TensorFlow, so it can be
// compiled with sanitizers, and for another processor.

#include "sweep.h"

using namespace keras_frcnn;

namespace {

void RunCase(FILE* file, int64_t number, const int64_t* header, float scale) {
  const int type = static_cast<int>(header[0]);
  const RoiPoolShape s = {header[1], header[2], header[3], header[4],
                          header[5], header[6], header[7]};
  const int64_t width = type < 2 ? 2 : type == 2 ? 4 : 8;
  const int64_t cells = s.n * s.h * s.w, outputs = s.k * s.ph * s.pw * s.c;
  const Buffer features = ReadBuffer(file, cells * s.c * width);
  const Buffer rois = ReadBuffer(file, s.k * 5 * 4);
  const Buffer expected = ReadBuffer(file, outputs * width);
  const Buffer expected_argmax = ReadBuffer(file, outputs * 4);
  const Buffer grad_output = ReadBuffer(file, outputs * width);
  const Buffer expected_grad = ReadBuffer(file, cells * s.c * width);

  const Buffer bins(s.k * BinsPerRoi(s) * 4);
  if (ComputeBins(rois.data<float>(), scale, s, bins.data<int32_t>()) != s.k) std::abort();
  const int64_t lanes = kVectorBytes / width;
  const int64_t stride = (s.c + lanes - 1) / lanes * lanes;
  for (const CpuKernels* const* each = AvailableCpuKernels(); *each; ++each) {
    const CpuKernels& kernels = **each;
    const Buffer keys(cells * stride * width);
    const int64_t middle = cells / 2, half = s.k / 2;  // in two ranges, as threads do it
    bool zeros = kernels.encode[type](features.data(), s.c, stride, 0, middle, keys.data());
    zeros |= kernels.encode[type](features.data(), s.c, stride, middle, cells, keys.data());

    const auto run = [&](auto pool, bool with_argmax, const char* what) {
      const Buffer output(outputs * width), argmax(outputs * 4);
      int32_t* positions = with_argmax ? argmax.data<int32_t>() : nullptr;
      const PoolArgs args = {s,           keys.data(), stride, bins.data<int32_t>(),
                             output.data(), positions,   s.ph * s.pw * s.c};
      pool(args, half, s.k);
      pool(args, 0, half);
      Check(output == expected, kernels.name, number, what);
      Check(!with_argmax || argmax == expected_argmax, kernels.name, number, "argmax");
    };
    run(kernels.pool_zeros[type], true, "output with argmax and zeros");
    run(kernels.pool_zeros[type], false, "output with zeros");
    if (!zeros) {
      run(kernels.pool_argmax[type], true, "output with argmax");
      run(kernels.pool[type], false, "output");
    }

    const Buffer sum(cells * s.c * (width == 8 ? 8 : 4));
    std::memset(sum.data(), 0, sum.size());
    const ScatterArgs scatter = {s, grad_output.data(), expected_argmax.data<int32_t>(),
                                 rois.data<float>(), sum.data()};
    kernels.scatter[type](scatter, 0, s.c / 2);
    kernels.scatter[type](scatter, s.c / 2, s.c);
    if (kernels.round_sum[type]) {
      const Buffer grad(cells * s.c * width);
      kernels.round_sum[type](sum.data<float>(), grad.data(), 0, cells * s.c);
      Check(grad == expected_grad, kernels.name, number, "gradient");
    } else {
      Check(sum == expected_grad, kernels.name, number, "gradient");
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  FILE* file = argc == 2 ? std::fopen(argv[1], "rb") : nullptr;
  if (!file) {
    std::fprintf(stderr, "usage: %s CASES\n", argv[0]);
    return 2;
  }
  int64_t number = 0, header[8];
  for (float scale; Read(file, header, sizeof(header)) && Read(file, &scale, 4); ++number) {
    RunCase(file, number, header, scale);
  }
  std::fclose(file);
  for (const CpuKernels* const* each = AvailableCpuKernels(); *each; ++each) {
    std::printf("%s: %lld cases\n", (*each)->name, static_cast<long long>(number));
  }
  return failures ? 1 : 0;
}
