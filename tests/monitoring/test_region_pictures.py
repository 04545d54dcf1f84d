"""Pictures of region proposals in training: what they are of, and where they go."""

import io

import numpy as np
import pytest
from PIL import Image

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.data.images import read_image
from keras_frcnn.detection.proposer import Proposer
from keras_frcnn.models.faster_rcnn import RegionProposalNetwork
from keras_frcnn.models.rpn import ProposalOptions
from keras_frcnn.monitoring import region_pictures
from keras_frcnn.monitoring.region_pictures import draw_objectness, draw_region_stages
from keras_frcnn.training.fit import train
from tests.tiny import add_trunk, tiny_dataset, tiny_settings

event_accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="needs the package tensorboard"
)

OPTIONS = ProposalOptions(scales=(2.0, 4.0), min_size=4.0, test=20)


@pytest.fixture
def proposer(monkeypatch):
    add_trunk(monkeypatch)
    return Proposer(
        RegionProposalNetwork(("one", "two"), "tiny", None, OPTIONS, min_side=96, max_side=128)
    )


def test_a_heat_map_for_each_scale_has_the_highest_of_its_ratios(proposer, tmp_path, monkeypatch):
    record = tiny_dataset(tmp_path).images[0]  # 60 x 70, scaled by 1.6
    image = read_image(record.path)
    objectness, _ = proposer.objectness_map(image)
    drawn = []
    monkeypatch.setattr(region_pictures, "draw_heat_map", lambda *args: drawn.append(args))
    draw_objectness(proposer, image)
    # Ratios outside, scales inside: anchors 0, 2, 4 are of the first scale.
    for (_, values, cell, _), places in zip(drawn, ([0, 2, 4], [1, 3, 5]), strict=True):
        np.testing.assert_array_equal(values, objectness[..., places].max(axis=2))
        np.testing.assert_allclose(cell, 8 / 1.6)
    captions = [caption for *_, caption in drawn]
    assert captions == [f"objectness, anchors of {n} pixels" for n in (10, 20)]


def test_a_sheet_of_one_image(proposer, tmp_path):
    dataset = tiny_dataset(tmp_path)
    for record in dataset.images:
        image = read_image(record.path)
        args = (proposer, image, record, dataset.class_names, 32)
        sheet = draw_region_stages(*args, (0, 1))
        assert sheet.width > 3 * record.width and sheet.height > 2 * record.height
        np.testing.assert_array_equal(draw_region_stages(*args, (0, 1)), sheet)


def test_heat_maps_of_a_strip_of_vgg16():
    """Scaled to four pixels of width, of which VGG16 alone makes no cell."""
    network = RegionProposalNetwork(("one",), "vgg16", None, OPTIONS, min_side=64, max_side=64)
    maps = draw_objectness(Proposer(network), np.zeros((128, 8, 3), np.uint8))
    assert [picture.size for picture in maps] == [(8, 128)] * 2


@pytest.mark.parametrize("detector", ["rpn", "faster_rcnn"])
def test_stages_and_heat_maps_go_to_tensorboard(detector, tmp_path, monkeypatch):
    add_trunk(monkeypatch)
    settings = tiny_settings(
        detector=detector, anchor_scales=(4.0,), anchor_ratios=(1.0, 2.0), anchors_per_image=32
    )
    train(tmp_path / "run", ImageSet(tiny_dataset(tmp_path)), settings, validate_every=2)
    events = event_accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    stages, objectness = "training/stages", "training/stages_objectness"
    assert sorted(events.Tags()["images"]) == [stages, objectness]
    assert [e.step for e in events.Images(objectness)] == [2]
    sheets = [
        Image.open(io.BytesIO(events.Images(tag)[0].encoded_image_string))
        for tag in (stages, objectness)
    ]
    assert sheets[0].height == sheets[1].height  # the same photographs
    columns = 4 if detector == "faster_rcnn" else 3  # which also has detections
    assert sheets[0].width > sheets[1].width * (columns - 0.5)
