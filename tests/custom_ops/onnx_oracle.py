"""ONNX Runtime's MaxRoiPool, which computes the same function on finite numbers."""

import numpy as np

from keras_frcnn.benchmarks.roi_pool import max_roi_pool_session


def max_roi_pool(features, rois, pooled_height, pooled_width, spatial_scale):
    """Output [K, PH, PW, C] for float32 `features` [N, H, W, C]."""
    session = max_roi_pool_session(pooled_height, pooled_width, spatial_scale)
    channels_first = np.ascontiguousarray(features.transpose(0, 3, 1, 2))
    (pooled,) = session.run(None, {"features": channels_first, "rois": rois})
    return pooled.transpose(0, 2, 3, 1)
