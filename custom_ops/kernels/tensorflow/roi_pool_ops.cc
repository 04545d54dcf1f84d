// Registers the ops KerasFrcnn>RoiPool, RoiPyramidPool and RoiPoolGrad with their shapes. Their
// kernels are in roi_pool_cpu_ops.cc and roi_pool_gpu_ops.cc.

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace keras_frcnn {
namespace {

using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

// Features of rank 4 and rois [K, 5], as far as known.
absl::Status PoolInputs(InferenceContext* c, ShapeHandle* features, ShapeHandle* rois) {
  DimensionHandle five;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 4, features));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(1), 2, rois));
  return c->WithValue(c->Dim(*rois, 1), 5, &five);
}

absl::Status RoiPoolShapes(InferenceContext* c) {
  ShapeHandle features, rois;
  TF_RETURN_IF_ERROR(PoolInputs(c, &features, &rois));
  int64_t pooled_height, pooled_width;
  TF_RETURN_IF_ERROR(c->GetAttr("pooled_height", &pooled_height));
  TF_RETURN_IF_ERROR(c->GetAttr("pooled_width", &pooled_width));
  const ShapeHandle output = c->MakeShape({c->Dim(rois, 0), c->MakeDim(pooled_height),
                                           c->MakeDim(pooled_width), c->Dim(features, 3)});
  c->set_output(0, output);
  c->set_output(1, output);
  return absl::OkStatus();
}

absl::Status RoiPyramidPoolShapes(InferenceContext* c) {
  ShapeHandle features, rois;
  TF_RETURN_IF_ERROR(PoolInputs(c, &features, &rois));
  std::vector<int64_t> levels;
  TF_RETURN_IF_ERROR(c->GetAttr("levels", &levels));
  int64_t bins = 0;
  for (const int64_t level : levels) bins += level * level;
  const ShapeHandle output =
      c->MakeShape({c->Dim(rois, 0), c->MakeDim(bins), c->Dim(features, 3)});
  c->set_output(0, output);
  c->set_output(1, output);
  return absl::OkStatus();
}

absl::Status RoiPoolGradShapes(InferenceContext* c) {
  ShapeHandle pooled, rois, features;
  TF_RETURN_IF_ERROR(c->WithRankAtLeast(c->input(0), 3, &pooled));
  TF_RETURN_IF_ERROR(c->Merge(pooled, c->input(1), &pooled));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(2), 2, &rois));
  TF_RETURN_IF_ERROR(c->MakeShapeFromShapeTensor(3, &features));
  TF_RETURN_IF_ERROR(c->WithRank(features, 4, &features));
  c->set_output(0, features);
  return absl::OkStatus();
}

REGISTER_OP("KerasFrcnn>RoiPool")
    .Input("features: T")
    .Input("rois: float")
    .Output("output: T")
    .Output("argmax: int32")
    .Attr("T: {half, bfloat16, float, double}")
    .Attr("pooled_height: int >= 1")
    .Attr("pooled_width: int >= 1")
    .Attr("spatial_scale: float")
    .SetShapeFn(RoiPoolShapes)
    .Doc("RoI max pooling. features [N, H, W, C], rois [K, 5] rows (batch_index, x1, y1, x2, y2).");

REGISTER_OP("KerasFrcnn>RoiPyramidPool")
    .Input("features: T")
    .Input("rois: float")
    .Output("output: T")
    .Output("argmax: int32")
    .Attr("T: {half, bfloat16, float, double}")
    .Attr("levels: list(int) >= 1")
    .Attr("spatial_scale: float")
    .SetShapeFn(RoiPyramidPoolShapes)
    .Doc("RoiPool on level x level bins for each of levels, side by side: [K, bins, C].");

REGISTER_OP("KerasFrcnn>RoiPoolGrad")
    .Input("grad_output: T")
    .Input("argmax: int32")
    .Input("rois: float")
    .Input("features_shape: int32")
    .Output("grad_features: T")
    .Attr("T: {half, bfloat16, float, double}")
    .SetShapeFn(RoiPoolGradShapes)
    .Doc("Gradient of RoiPool and RoiPyramidPool with respect to features of shape features_shape.");

}  // namespace
}  // namespace keras_frcnn
