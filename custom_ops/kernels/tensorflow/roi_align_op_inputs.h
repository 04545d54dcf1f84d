// What RoIAlign's TensorFlow kernels of every device share: attributes and checks of the inputs.

#ifndef KERAS_FRCNN_ROI_ALIGN_OP_INPUTS_H_
#define KERAS_FRCNN_ROI_ALIGN_OP_INPUTS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "roi_align.h"
#include "roi_align_axis.h"
#include "roi_pool_op_inputs.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace keras_frcnn {

// Images and cells of a map [N, H, W, C].
struct Level {
  int64_t n, h, w;
};

// What both ops are asked for, and the checks of the RoIs.
class AlignAttributes {
 public:
  absl::Status Read(tensorflow::OpKernelConstruction* context) {
    int64_t maps;
    TF_RETURN_IF_ERROR(context->GetAttr("L", &maps));
    TF_RETURN_IF_ERROR(context->GetAttr("spatial_scales", &scales_));
    TF_RETURN_IF_ERROR(context->GetAttr("sampling_ratio", &grid_.sampling_ratio));
    TF_RETURN_IF_ERROR(context->GetAttr("aligned", &grid_.aligned));
    if (static_cast<int64_t>(scales_.size()) != maps) {
      return InvalidArgument("spatial_scales has ", scales_.size(), " numbers for ", maps, " maps");
    }
    for (const float scale : scales_) {
      if (!std::isfinite(scale) || scale <= 0) {
        return InvalidArgument("spatial_scale is ", scale, ", not a positive number");
      }
    }
    if (grid_.sampling_ratio < -1 || grid_.sampling_ratio > kMaxAxisSamples) {
      return InvalidArgument("sampling_ratio is ", grid_.sampling_ratio, "; it must be up to ",
                             kMaxAxisSamples, ", or 0 for one sample a cell");
    }
    grid_.sampling_ratio = std::max<int64_t>(grid_.sampling_ratio, 0);
    return absl::OkStatus();
  }

  // Of RoiAlign; its gradient learns the size from grad_output.
  absl::Status ReadWithSize(tensorflow::OpKernelConstruction* context) {
    int64_t ph, pw;
    TF_RETURN_IF_ERROR(context->GetAttr("pooled_height", &ph));
    TF_RETURN_IF_ERROR(context->GetAttr("pooled_width", &pw));
    TF_RETURN_IF_ERROR(SetSize(ph, pw));
    return Read(context);
  }

  absl::Status SetSize(int64_t ph, int64_t pw) {
    if (ph < 1 || pw < 1 || ph > kMaxBins || pw > kMaxBins) {
      return InvalidArgument("pooled size ", ph, " x ", pw, " is not positive or too large");
    }
    grid_.ph = ph;
    grid_.pw = pw;
    return absl::OkStatus();
  }

  // Checks `rois` and `levels`, and places every RoI on one of the maps, of which n, h and w are
  // known.
  absl::Status PlaceRois(const tensorflow::Tensor& rois, const tensorflow::Tensor& levels,
                         const std::vector<Level>& maps, std::vector<PlacedRoi>* placed) const {
    if (rois.dims() != 2 || rois.dim_size(1) != 5) {
      return InvalidArgument("rois must be [K, 5], not ", rois.shape().DebugString());
    }
    const int64_t k = rois.dim_size(0), count = static_cast<int64_t>(maps.size());
    if (levels.dims() != 1 || levels.dim_size(0) != k) {
      return InvalidArgument("levels must be [", k, "], not ", levels.shape().DebugString());
    }
    const int32_t* level = levels.flat<int32_t>().data();
    placed->resize(k);
    for (int64_t row = 0; row < k; ++row) {
      const float* roi = rois.flat<float>().data() + 5 * row;
      if (level[row] < 0 || level[row] >= count) {
        return InvalidArgument("rois row ", row, ": the level ", level[row], " must be in [0, ",
                               count, ")");
      }
      PlacedRoi& here = (*placed)[row];
      here.row = static_cast<int32_t>(row);
      here.level = level[row];
      const int64_t n = maps[level[row]].n;
      switch (PlaceRoi(roi, scales_[level[row]], grid_, n, &here)) {
        case RoiFault::kNone:
          break;
        case RoiFault::kTooManySamples:
          return InvalidArgument("rois row ", row, " is (", roi[0], ", ", roi[1], ", ", roi[2],
                                 ", ", roi[3], ", ", roi[4], "): more than ", kMaxAxisSamples,
                                 " samples a bin along an axis");
        default:
          return BadRow(rois.flat<float>().data(), row, n);
      }
    }
    return absl::OkStatus();
  }

  const AlignGrid& grid() const { return grid_; }

 private:
  static constexpr int64_t kMaxBins = 1 << 20;  // along an axis
  AlignGrid grid_{};
  std::vector<float> scales_;
};

inline absl::Status AddLevel(const tensorflow::TensorShape& shape, std::vector<Level>* maps,
                             int64_t* channels) {
  if (shape.dims() != 4) {
    return InvalidArgument("features must be [N, H, W, C], not ", shape.DebugString());
  }
  if (!maps->empty() && shape.dim_size(3) != *channels) {
    return InvalidArgument("features have ", *channels, " and ", shape.dim_size(3), " channels");
  }
  if (std::max(shape.dim_size(1), shape.dim_size(2)) > (1 << 24)) {
    return InvalidArgument("features have ", shape.dim_size(1), " x ", shape.dim_size(2),
                           " cells; float32 counts no more than 2^24 along an axis");
  }
  *channels = shape.dim_size(3);
  maps->push_back({shape.dim_size(0), shape.dim_size(1), shape.dim_size(2)});
  return absl::OkStatus();
}

// The inputs of RoiAlign, checked. The rois and levels lie in host memory on every device.
struct AlignInputs {
  tensorflow::OpInputList features;
  std::vector<Level> maps;
  std::vector<PlacedRoi> rois;
  int64_t channels = 0;
  tensorflow::TensorShape output_shape;

  absl::Status Read(tensorflow::OpKernelContext* context, const AlignAttributes& attributes) {
    const tensorflow::Tensor *boxes, *levels;
    TF_RETURN_IF_ERROR(context->input_list("features", &features));
    TF_RETURN_IF_ERROR(context->input("rois", &boxes));
    TF_RETURN_IF_ERROR(context->input("levels", &levels));
    for (const tensorflow::Tensor& map : features) {
      TF_RETURN_IF_ERROR(AddLevel(map.shape(), &maps, &channels));
    }
    TF_RETURN_IF_ERROR(attributes.PlaceRois(*boxes, *levels, maps, &rois));
    const AlignGrid& grid = attributes.grid();
    return tensorflow::TensorShape::BuildTensorShape(
        {boxes->dim_size(0), grid.ph, grid.pw, channels}, &output_shape);
  }
};

// The inputs of RoiAlignGrad, of which all but grad_output lie in host memory.
struct AlignGradInputs {
  const tensorflow::Tensor* grad_output;
  std::vector<tensorflow::TensorShape> shapes;  // of the maps
  std::vector<Level> maps;
  std::vector<PlacedRoi> rois;
  int64_t channels = 0;
  AlignGrid grid;

  absl::Status Read(tensorflow::OpKernelContext* context, AlignAttributes attributes) {
    const tensorflow::Tensor *boxes, *levels;
    tensorflow::OpInputList given;
    TF_RETURN_IF_ERROR(context->input("grad_output", &grad_output));
    TF_RETURN_IF_ERROR(context->input("rois", &boxes));
    TF_RETURN_IF_ERROR(context->input("levels", &levels));
    TF_RETURN_IF_ERROR(context->input_list("shapes", &given));
    shapes.resize(given.size());
    for (int i = 0; i < given.size(); ++i) {
      if (given[i].dims() != 1) {
        return InvalidArgument("shapes must be vectors, not ", given[i].shape().DebugString());
      }
      TF_RETURN_IF_ERROR(tensorflow::TensorShapeUtils::MakeShape(
          given[i].flat<int32_t>().data(), given[i].dim_size(0), &shapes[i]));
      TF_RETURN_IF_ERROR(AddLevel(shapes[i], &maps, &channels));
    }
    if (grad_output->dims() != 4 || grad_output->dim_size(0) != boxes->dim_size(0) ||
        grad_output->dim_size(3) != channels) {
      return InvalidArgument("grad_output must be [K, PH, PW, ", channels, "], not ",
                             grad_output->shape().DebugString());
    }
    TF_RETURN_IF_ERROR(attributes.SetSize(grad_output->dim_size(1), grad_output->dim_size(2)));
    grid = attributes.grid();
    return attributes.PlaceRois(*boxes, *levels, maps, &rois);
  }
};

}  // namespace keras_frcnn

#endif  // KERAS_FRCNN_ROI_ALIGN_OP_INPUTS_H_
