// Registers the ops KerasFrcnn>RoiAlign and RoiAlignGrad with their shapes. Their kernels are in
// roi_align_cpu_ops.cc and roi_align_gpu_ops.cc.

#include <cstdint>

#include "absl/status/status.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace keras_frcnn {
namespace {

using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

// rois [K, 5] and levels [K] from input `first` on; gives K.
absl::Status RoiInputs(InferenceContext* c, int first, DimensionHandle* k) {
  ShapeHandle rois, levels;
  DimensionHandle five;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(first), 2, &rois));
  TF_RETURN_IF_ERROR(c->WithValue(c->Dim(rois, 1), 5, &five));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(first + 1), 1, &levels));
  return c->Merge(c->Dim(rois, 0), c->Dim(levels, 0), k);
}

absl::Status RoiAlignShapes(InferenceContext* c) {
  int64_t maps, pooled_height, pooled_width;
  TF_RETURN_IF_ERROR(c->GetAttr("L", &maps));
  TF_RETURN_IF_ERROR(c->GetAttr("pooled_height", &pooled_height));
  TF_RETURN_IF_ERROR(c->GetAttr("pooled_width", &pooled_width));
  DimensionHandle channels = c->UnknownDim(), k;
  for (int i = 0; i < maps; ++i) {
    ShapeHandle map;
    TF_RETURN_IF_ERROR(c->WithRank(c->input(i), 4, &map));
    TF_RETURN_IF_ERROR(c->Merge(channels, c->Dim(map, 3), &channels));
  }
  TF_RETURN_IF_ERROR(RoiInputs(c, static_cast<int>(maps), &k));
  c->set_output(0, c->MakeShape({k, c->MakeDim(pooled_height), c->MakeDim(pooled_width), channels}));
  return absl::OkStatus();
}

absl::Status RoiAlignGradShapes(InferenceContext* c) {
  int64_t maps;
  TF_RETURN_IF_ERROR(c->GetAttr("L", &maps));
  ShapeHandle grad;
  DimensionHandle k;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 4, &grad));
  TF_RETURN_IF_ERROR(RoiInputs(c, 1, &k));
  TF_RETURN_IF_ERROR(c->Merge(c->Dim(grad, 0), k, &k));
  for (int i = 0; i < maps; ++i) {
    ShapeHandle map;
    TF_RETURN_IF_ERROR(c->MakeShapeFromShapeTensor(3 + i, &map));
    TF_RETURN_IF_ERROR(c->WithRank(map, 4, &map));
    c->set_output(i, map);
  }
  return absl::OkStatus();
}

REGISTER_OP("KerasFrcnn>RoiAlign")
    .Input("features: L * T")
    .Input("rois: float")
    .Input("levels: int32")
    .Output("output: T")
    .Attr("L: int >= 1")
    .Attr("T: {half, bfloat16, float, double}")
    .Attr("pooled_height: int >= 1")
    .Attr("pooled_width: int >= 1")
    .Attr("spatial_scales: list(float) >= 1")
    .Attr("sampling_ratio: int = 0")
    .Attr("aligned: bool = true")
    .SetShapeFn(RoiAlignShapes)
    .Doc("RoIAlign. Maps [N, H, W, C], rois [K, 5] rows (batch_index, x1, y1, x2, y2), levels [K].");

REGISTER_OP("KerasFrcnn>RoiAlignGrad")
    .Input("grad_output: T")
    .Input("rois: float")
    .Input("levels: int32")
    .Input("shapes: L * int32")
    .Output("grad_features: L * T")
    .Attr("L: int >= 1")
    .Attr("T: {half, bfloat16, float, double}")
    .Attr("spatial_scales: list(float) >= 1")
    .Attr("sampling_ratio: int = 0")
    .Attr("aligned: bool = true")
    .SetShapeFn(RoiAlignGradShapes)
    .Doc("Gradients of RoiAlign with respect to its maps, whose shapes are given.");

}  // namespace
}  // namespace keras_frcnn
