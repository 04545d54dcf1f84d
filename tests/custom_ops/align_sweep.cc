// Runs all of RoIAlign's CPU kernels over the cases of a file that kernel_sweep.py wrote, and
// compares them bit for bit with the expected results in it, any NaN being the same as another.

#include <cmath>

#include "roi_align.h"
#include "roi_align_samples.h"
#include "sweep.h"

using namespace keras_frcnn;

namespace {

// Makes all NaNs one.
void OneNaN(const Buffer& buffer, int type) {
  const int64_t width = type < 2 ? 2 : type == 2 ? 4 : 8;
  for (int64_t i = 0; i < buffer.size() / width; ++i) {
    char* at = buffer.data<char>() + i * width;
    uint64_t bits = 0;
    std::memcpy(&bits, at, width);
    const uint64_t infinities[] = {0x7c00, 0x7f80, 0x7f800000, 0x7ff0000000000000};
    const uint64_t magnitude = bits & (~uint64_t{0} >> (65 - 8 * width));
    if (magnitude > infinities[type]) std::memset(at, 0x7f, width);
  }
}

void RunCase(FILE* file, int64_t number, const int64_t* header, float scale) {
  const int type = static_cast<int>(header[0]);
  const int64_t n = header[1], h = header[2], w = header[3], c = header[4], k = header[5];
  const AlignGrid grid = {header[6], header[7], header[8], header[9] != 0};
  const int64_t width = type < 2 ? 2 : type == 2 ? 4 : 8;
  const int64_t values = n * h * w * c, of_roi = grid.ph * grid.pw * c;
  const Buffer features = ReadBuffer(file, values * width);
  const Buffer rois = ReadBuffer(file, k * 5 * 4);
  const Buffer expected = ReadBuffer(file, k * of_roi * width);
  const Buffer grad_output = ReadBuffer(file, k * of_roi * width);
  const Buffer expected_grad = ReadBuffer(file, values * width);
  OneNaN(expected, type);
  OneNaN(expected_grad, type);

  const char* name = "";
  const CpuKernels* const* pool = AvailableCpuKernels();
  for (const AlignKernels* const* each = AvailableAlignKernels(); *each; ++each, ++pool) {
    name = (*pool)->name;
    const Buffer output(k * of_roi * width), grad(values * width);
    const Buffer sum(values * (width == 8 ? 8 : 4));
    std::memset(sum.data(), 0, sum.size());
    RoiSamples samples;
    for (int64_t i = 0; i < k; ++i) {
      const float* roi = rois.data<float>() + 5 * i;
      PlacedRoi placed;
      if (PlaceRoi(roi, scale, grid, n, &placed) != RoiFault::kNone) std::abort();
      ComputeSamples(placed, grid, h, w, &samples);
      const AlignRoi args = ForKernel(samples, grid, w, c);
      const int64_t image = placed.image * h * w * c;
      (*each)->align[type](args, features.data<char>() + image * width,
                           output.data<char>() + i * of_roi * width);
      const auto scatter = [&](int64_t begin, int64_t end) {
        (*each)->scatter[type](args, grad_output.data<char>() + i * of_roi * width, begin, end,
                               sum.data<char>() + image * (width == 8 ? 8 : 4));
      };
      scatter(0, c / 2);  // in two ranges, as threads do it
      scatter(c / 2, c);
    }
    OneNaN(output, type);
    Check(output == expected, name, number, "output");
    if ((*each)->round_sum[type]) {
      (*each)->round_sum[type](sum.data<float>(), grad.data(), 0, values);
      OneNaN(grad, type);
      Check(grad == expected_grad, name, number, "gradient");
    } else {
      OneNaN(sum, type);
      Check(sum == expected_grad, name, number, "gradient");
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
  int64_t number = 0, header[10];
  for (float scale; Read(file, header, sizeof(header)) && Read(file, &scale, 4); ++number) {
    RunCase(file, number, header, scale);
  }
  std::fclose(file);
  for (const CpuKernels* const* each = AvailableCpuKernels(); *each; ++each) {
    std::printf("RoIAlign, %s: %lld cases\n", (*each)->name, static_cast<long long>(number));
  }
  return failures ? 1 : 0;
}
