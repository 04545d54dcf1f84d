"""What region proposals and joint training meet in real data, and how they diverge."""

import dataclasses

import numpy as np
import pytest

from keras_frcnn.batches.examples import batch_records
from keras_frcnn.batches.pipeline import batches_for
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.errors import InputError
from keras_frcnn.training.build import build_and_compile
from keras_frcnn.training.fit import train
from tests.images import colored_rectangles
from tests.tiny import add_trunk, tiny_dataset, tiny_settings

SETTINGS = {
    "anchor_scales": (3, 5),  # 24 and 40 pixels
    "anchors_per_image": 24,
    "proposals_train": 60,
    "pre_nms_train": 200,
    "proposal_min_size": 4,
    "images_per_batch": 1,
}


@pytest.fixture(autouse=True)
def tiny_trunk(monkeypatch):
    add_trunk(monkeypatch)


def odd_images(folder):
    """Images with which something is the matter; all have the size that they are trained in."""
    rng = np.random.default_rng(0)
    corner = rng.integers(0, 50, (500, 2))
    crowd = np.concatenate([corner, corner + rng.integers(1, 14, (500, 2))], axis=1)
    images = {
        "no anchors inside": ((16, 100), [(2, 2, 30, 14)], False),
        "no objects": ((64, 64), [], False),
        "only difficult ones": ((64, 66), [(5, 5, 40, 40)], True),
        "an object of a pixel": ((64, 68), [(30, 30, 31, 31)], False),
        "500 objects": ((64, 70), crowd.tolist(), False),
        # As two of BCCD are: no width, and no height.
        "objects without area": ((64, 72), [(20, 10, 20, 50), (5, 30, 60, 30)], False),
        "and one with": ((64, 74), [(20, 10, 20, 50), (8, 8, 32, 32)], False),
        "a large image": ((1600, 1600), [(900, 900, 901, 902), (0, 0, 1600, 1600)], False),
    }
    dataset = colored_rectangles(
        folder,
        [size for size, *_ in images.values()],
        [boxes for _, boxes, _ in images.values()],
        difficult=[[is_difficult] * len(boxes) for _, boxes, is_difficult in images.values()],
    )
    return dataset, dict(zip(images, dataset.images, strict=True))


@pytest.mark.parametrize("detector", ["rpn", "faster_rcnn"])
def test_odd_images_have_finite_losses(tmp_path, detector):
    dataset, named = odd_images(tmp_path)
    settings = tiny_settings(detector=detector, rate=0.001, **SETTINGS)
    images = ImageSet(dataset)
    model = build_and_compile(images, settings)
    seen = {}
    for step, (x, y) in enumerate(batches_for(model, images, (0, 0, 0), settings).take(6)):
        (record,) = batch_records(dataset, step, settings)
        (name,) = (name for name, other in named.items() if other is record)
        model.reset_metrics()
        losses = model.train_on_batch(x, y, return_dict=True)
        labels = y["rpn_cls_score"].numpy()[0]
        seen[name] = losses, [int((labels == u).sum()) for u in (1, 0, -1)]
        assert all(np.isfinite(value) for value in losses.values()), name
    assert len(seen) == 6 and not set(seen) & {"no objects", "only difficult ones"}
    assert all(np.isfinite(v.numpy()).all() for v in model.weights)

    losses, counts = seen["no anchors inside"]
    assert counts == [0, 0, 24]
    assert losses["rpn_cls_score_loss"] == losses["rpn_bbox_pred_loss"] == 0
    losses, counts = seen["objects without area"]
    assert counts == [0, 24, 0] and losses["rpn_bbox_pred_loss"] == 0
    assert losses["rpn_cls_score_loss"] > 0
    for name in ("an object of a pixel", "500 objects", "and one with", "a large image"):
        assert seen[name][1][0] > 0 and seen[name][0]["rpn_bbox_pred_loss"] > 0, name
    assert seen["500 objects"][1][0] <= 12
    if detector == "faster_rcnn":
        for name, (losses, _) in seen.items():
            has_area = name != "objects without area"
            assert losses["cls_score_loss"] > 0, name
            assert (losses["cls_score_foreground_share"] > 0) == has_area, name


@pytest.mark.parametrize("detector", ["rpn", "faster_rcnn"])
def test_divergence_names_step_and_images(tmp_path, detector):
    folder = tmp_path / "images"
    folder.mkdir()
    dataset = tiny_dataset(folder)
    settings = tiny_settings(detector=detector, rate=1e6, steps=50, **SETTINGS)
    # All of these anchors have an object to learn from.
    settings = dataclasses.replace(
        settings, images_per_batch=2, anchor_scales=(4,), anchor_ratios=(1, 2)
    )
    with pytest.raises(InputError, match=r"the loss is (nan|inf) at step \d+ \(images: ") as found:
        train(tmp_path / "run", ImageSet(dataset), settings)
    message = str(found.value)
    step = int(message.split("at step ")[1].split()[0])
    assert 1 < step < 20 and "--rate" in message
    for record in batch_records(dataset, step - 1, settings):
        assert record.filename in message
