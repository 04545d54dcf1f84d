"""Fast, Faster and Mask R-CNN (2015 to 2017) for TensorFlow and Keras 3.

    import keras_frcnn as kf

has what a training and its use need (`kf.__all__`; the README shows it in order), each loaded when
it is first used: importing the package imports neither TensorFlow nor Keras. From then on Keras
loads models of this package, see `keras_frcnn.registration`.
"""

import importlib

from keras_frcnn.registration import register_with_keras

__version__ = "0.1.0"

# The public names, and where they come from.
_PUBLIC = {
    "load_data": "keras_frcnn.data.load:load",
    "convert_data": "keras_frcnn.data.convert:convert_data",
    "check_data": "keras_frcnn.inspection.data_check:check_data",
    "draw_check": "keras_frcnn.inspection.data_page:draw_check",
    "show_data": "keras_frcnn.inspection.show_data:show_data",
    "show_proposals": "keras_frcnn.inspection.show_proposals:show_proposals",
    "show_samples": "keras_frcnn.inspection.show_samples:show_samples",
    "show_batch": "keras_frcnn.inspection.show_batch:show_batch",
    "show_features": "keras_frcnn.inspection.show_features:show_features",
    "open_image": "keras_frcnn.data.images:open_image",
    "SelectiveSearch": "keras_frcnn.proposals.selective_search:SelectiveSearch",
    "find_proposals": "keras_frcnn.proposals.find:find_proposals",
    "bulk_proposals": "keras_frcnn.bulk.jobs:bulk_proposals",
    "bulk_detections": "keras_frcnn.bulk.jobs:bulk_detections",
    "read_bulk_detections": "keras_frcnn.bulk.jobs:read_bulk_detections",
    "ImageSet": "keras_frcnn.data.dataset:ImageSet",
    "ranked_recall": "keras_frcnn.proposals.recall:ranked_recall",
    "target_statistics": "keras_frcnn.public:target_statistics",
    "FastRCNN": "keras_frcnn.models.fast_rcnn:FastRCNN",
    "FasterRCNN": "keras_frcnn.models.faster_rcnn:FasterRCNN",
    "MaskFastRCNN": "keras_frcnn.models.mask_rcnn:MaskFastRCNN",
    "MaskRCNN": "keras_frcnn.models.mask_rcnn:MaskRCNN",
    "ProposalOptions": "keras_frcnn.models.rpn:ProposalOptions",
    "SGD": "keras_frcnn.training.optimizer:SGD",
    "StepDecay": "keras_frcnn.training.callbacks:StepDecay",
    "training_batches": "keras_frcnn.public:training_batches",
    "Detector": "keras_frcnn.detection.detector:Detector",
    "ProposingDetector": "keras_frcnn.detection.proposing:ProposingDetector",
    "MaskDetector": "keras_frcnn.detection.masking:MaskDetector",
    "ProposingMaskDetector": "keras_frcnn.detection.masking:ProposingMaskDetector",
    "Detections": "keras_frcnn.detection.detections:Detections",
    "evaluate": "keras_frcnn.public:evaluate",
    "detect_all": "keras_frcnn.public:detect_all",
    "evaluate_voc": "keras_frcnn.evaluation.voc:evaluate",
    "evaluate_coco": "keras_frcnn.evaluation.coco:evaluate_coco",
    "find_errors": "keras_frcnn.public:find_errors",
    "error_gains": "keras_frcnn.evaluation.error_gains:error_gains",
    "draw_top_errors": "keras_frcnn.inspection.top_errors:draw_top_errors",
    "report_content": "keras_frcnn.report.content:report_content",
    "write_report": "keras_frcnn.report.page:write_report",
    "TestOptions": "keras_frcnn.detection.test_time:TestOptions",
    "TestTimeDetector": "keras_frcnn.detection.test_time:TestTimeDetector",
    "read_detections": "keras_frcnn.evaluation.results:read_detections",
    "write_coco_results": "keras_frcnn.evaluation.coco_results:write_coco_results",
    "write_voc_results": "keras_frcnn.evaluation.voc_results:write_voc_results",
    "Settings": "keras_frcnn.settings:Settings",
    "train": "keras_frcnn.public:train",
    "load_detector": "keras_frcnn.runs.directory:load_detector",
    "export_saved_model": "keras_frcnn.export.saved_model:export_saved_model",
    "InputError": "keras_frcnn.errors:InputError",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _PUBLIC[name].split(":")
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__})


register_with_keras()
