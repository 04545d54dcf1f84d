// What the TensorFlow kernels of every device share: attributes, checks of the inputs, errors.

#ifndef KERAS_FRCNN_ROI_POOL_OP_INPUTS_H_
#define KERAS_FRCNN_ROI_POOL_OP_INPUTS_H_

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "roi_pool.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace keras_frcnn {

template <typename... Args>
absl::Status InvalidArgument(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat(args...));
}

template <typename T>
constexpr DType kDType = std::is_same_v<T, Eigen::half>         ? DType::kFloat16
                         : std::is_same_v<T, Eigen::bfloat16> ? DType::kBFloat16
                         : std::is_same_v<T, float>           ? DType::kFloat32
                                                              : DType::kFloat64;

// What RoiPool and RoiPyramidPool were asked for: one grid of bins a RoI, or one for each level.
class PoolAttributes {
 public:
  struct Grid {
    int64_t ph, pw;
    int64_t first_bin;  // of the grid, among all bins of a RoI
  };

  absl::Status Read(tensorflow::OpKernelConstruction* context) {
    is_pyramid_ = context->HasAttr("levels");
    std::vector<int64_t> heights, widths;
    if (is_pyramid_) {
      TF_RETURN_IF_ERROR(context->GetAttr("levels", &heights));
      widths = heights;
    } else {
      heights.resize(1);
      widths.resize(1);
      TF_RETURN_IF_ERROR(context->GetAttr("pooled_height", &heights[0]));
      TF_RETURN_IF_ERROR(context->GetAttr("pooled_width", &widths[0]));
    }
    for (size_t i = 0; i < heights.size(); ++i) {
      if (heights[i] < 1 || widths[i] < 1 || heights[i] + widths[i] >= kMax / 4) {
        return InvalidArgument("pooled size ", heights[i], " x ", widths[i],
                               " is not positive or too large");
      }
      grids_.push_back({heights[i], widths[i], bins_});
      bins_ += heights[i] * widths[i];
      if (bins_ > kMax) return InvalidArgument("more than ", kMax, " bins a RoI");
    }
    TF_RETURN_IF_ERROR(context->GetAttr("spatial_scale", &spatial_scale_));
    if (!std::isfinite(spatial_scale_) || spatial_scale_ <= 0) {
      return InvalidArgument("spatial_scale is ", spatial_scale_, ", not a positive number");
    }
    return absl::OkStatus();
  }

  const std::vector<Grid>& grids() const { return grids_; }
  int64_t bins() const { return bins_; }  // of a RoI, all grids together
  float spatial_scale() const { return spatial_scale_; }

  // Checks features [N, H, W, C] and rois [K, 5]. Gives the shape of the first grid's pooling and
  // of the op's outputs.
  absl::Status CheckInputs(const tensorflow::Tensor& features, const tensorflow::Tensor& rois,
                           RoiPoolShape* shape, tensorflow::TensorShape* output_shape) const {
    if (features.dims() != 4) {
      return InvalidArgument("features must be [N, H, W, C], not ",
                             features.shape().DebugString());
    }
    if (rois.dims() != 2 || rois.dim_size(1) != 5) {
      return InvalidArgument("rois must be [K, 5], not ", rois.shape().DebugString());
    }
    *shape = {features.dim_size(0), features.dim_size(1), features.dim_size(2),
              features.dim_size(3), rois.dim_size(0),     grids_[0].ph,
              grids_[0].pw};
    if (shape->h * shape->w > kMax) {
      return InvalidArgument("features have ", shape->h, " x ", shape->w,
                             " cells, more than an int32 argmax can name");
    }
    if (is_pyramid_) {
      return tensorflow::TensorShape::BuildTensorShape({shape->k, bins_, shape->c}, output_shape);
    }
    return tensorflow::TensorShape::BuildTensorShape(
        {shape->k, shape->ph, shape->pw, shape->c}, output_shape);
  }

 private:
  static constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  bool is_pyramid_ = false;
  std::vector<Grid> grids_;
  int64_t bins_ = 0;
  float spatial_scale_ = 0;
};

// The error for the row of rois at which ComputeBins stopped.
inline absl::Status BadRow(const float* rois, int64_t row, int64_t n) {
  const float* roi = rois + 5 * row;
  return InvalidArgument("rois row ", row, " is (", roi[0], ", ", roi[1], ", ", roi[2], ", ",
                         roi[3], ", ", roi[4], "): the batch index must be in [0, ", n,
                         ") and the coordinates finite");
}

// Checks the inputs of RoiPoolGrad, of which rois and features_shape lie in host memory. Gives the
// shapes of the pooling and of the gradient. A RoI's bins, on however many axes, become one column:
// the gradient needs their order alone. They are not reshaped in Python, because TensorFlow takes
// int32 tensors to host memory for that.
inline absl::Status CheckGradInputs(const tensorflow::Tensor& grad_output,
                                    const tensorflow::Tensor& argmax,
                                    const tensorflow::Tensor& rois,
                                    const tensorflow::Tensor& features_shape, RoiPoolShape* shape,
                                    tensorflow::TensorShape* output_shape) {
  const int channels_axis = grad_output.dims() - 1;
  if (channels_axis < 2 || grad_output.shape() != argmax.shape()) {
    return InvalidArgument("grad_output and argmax must be [K, bins, C] or [K, PH, PW, C], not ",
                           grad_output.shape().DebugString(), " and ",
                           argmax.shape().DebugString());
  }
  const int64_t k = grad_output.dim_size(0);
  if (rois.dims() != 2 || rois.dim_size(1) != 5 || rois.dim_size(0) != k) {
    return InvalidArgument("rois must be [", k, ", 5], not ", rois.shape().DebugString());
  }
  if (features_shape.dims() != 1 || features_shape.dim_size(0) != 4) {
    return InvalidArgument("features_shape must have 4 elements, not ",
                           features_shape.shape().DebugString());
  }
  TF_RETURN_IF_ERROR(tensorflow::TensorShapeUtils::MakeShape(features_shape.flat<int32_t>().data(),
                                                             4, output_shape));
  int64_t bins = 1;
  for (int axis = 1; axis < channels_axis; ++axis) bins *= grad_output.dim_size(axis);
  *shape = {output_shape->dim_size(0), output_shape->dim_size(1), output_shape->dim_size(2),
            output_shape->dim_size(3), k, bins, 1};
  if (shape->c != grad_output.dim_size(channels_axis)) {
    return InvalidArgument("features_shape has ", shape->c, " channels, grad_output ",
                           grad_output.dim_size(channels_axis));
  }
  if (shape->h * shape->w > std::numeric_limits<int32_t>::max()) {
    return InvalidArgument("features_shape has too many cells");
  }
  const float* boxes = rois.flat<float>().data();
  for (int64_t row = 0; row < k; ++row) {
    const float image = boxes[5 * row];
    if (!(image >= 0 && image < static_cast<float>(shape->n))) {
      return InvalidArgument("rois row ", row, ": the batch index ", image, " must be in [0, ",
                             shape->n, ")");
    }
  }
  return absl::OkStatus();
}

}  // namespace keras_frcnn

#endif  // KERAS_FRCNN_ROI_POOL_OP_INPUTS_H_
