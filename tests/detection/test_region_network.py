"""Proposals of a data set by a region proposal network: which, and what is kept of them when."""

import dataclasses
import signal

import keras
import numpy as np
import pytest

from keras_frcnn.data.image_keys import image_key
from keras_frcnn.data.images import read_image
from keras_frcnn.data.preprocessing import scale_image
from keras_frcnn.detection.proposer import Proposer
from keras_frcnn.detection.region_network import cache_key, network_proposals, weights_sha256
from keras_frcnn.models.faster_rcnn import RegionProposalNetwork
from keras_frcnn.models.rpn import ProposalOptions
from keras_frcnn.proposals.cache import ProposalCache
from keras_frcnn.proposals.saved import load_proposals, save_proposals
from tests.tiny import add_trunk, tiny_dataset

OPTIONS = ProposalOptions(scales=(2.0, 4.0), min_size=4.0, stride=8, test=20)


def network(names=("one", "two"), **changes):
    return RegionProposalNetwork(
        names, "tiny", None, **{"options": OPTIONS, "min_side": 96, "max_side": 128, **changes}
    )


@pytest.fixture
def proposer(monkeypatch):
    add_trunk(monkeypatch)
    return Proposer(network())


def refuse(image):
    raise AssertionError("everything was in the cache")


def test_each_image_has_the_best_of_its_own(proposer, tmp_path):
    dataset = tiny_dataset(tmp_path)
    found = network_proposals(proposer, dataset, tmp_path / "c.sqlite", progress=False)
    for record, boxes in zip(dataset.images, found, strict=True):
        expected, _ = proposer.propose(read_image(record.path))
        assert boxes.dtype == np.float32 and 0 < len(boxes) <= OPTIONS.test
        np.testing.assert_allclose(boxes, expected, atol=1e-4)
        assert (boxes >= 0).all() and (boxes <= [record.width, record.height] * 2).all()
        assert (boxes[:, 2:] - boxes[:, :2] > OPTIONS.min_size - 1e-3).all()


def test_what_is_found_is_kept_and_can_be_saved(proposer, tmp_path, monkeypatch, capfd):
    dataset = tiny_dataset(tmp_path)
    found = network_proposals(proposer, dataset, tmp_path / "c.sqlite")
    assert "proposals: 3 images in" in capfd.readouterr().err
    monkeypatch.setattr(proposer, "propose", refuse)
    again = network_proposals(proposer, dataset, tmp_path / "c.sqlite")
    assert capfd.readouterr().err == ""
    save_proposals(tmp_path / "saved.npz", dataset, found)
    saved = load_proposals(tmp_path / "saved.npz", dataset)
    for a, b, c in zip(found, again, saved, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_an_interruption_costs_the_image_at_hand(proposer, tmp_path, monkeypatch):
    dataset = tiny_dataset(tmp_path)
    propose, seen = proposer.propose, []

    def interrupted(image):
        seen.append(image.shape)
        if len(seen) == 2:
            signal.raise_signal(signal.SIGINT)
        return propose(image)

    monkeypatch.setattr(proposer, "propose", interrupted)
    with pytest.raises(KeyboardInterrupt):
        network_proposals(proposer, dataset, tmp_path / "c.sqlite", progress=False)
    with ProposalCache(tmp_path / "c.sqlite") as cache:
        keys = [image_key(record) for record in dataset.images]
        kept = [cache.get(key, cache_key(proposer)) is not None for key in keys]
    assert kept == [True, False, False]
    network_proposals(proposer, dataset, tmp_path / "c.sqlite", progress=False)
    assert len(seen) == 4


def test_boxes_are_known_by_all_that_they_depend_on(proposer, tmp_path):
    model = proposer.model
    key = cache_key(proposer)
    assert cache_key(Proposer(model)) == key
    assert cache_key(Proposer(model, options=dataclasses.replace(OPTIONS, train=5))) == key
    changed = [
        Proposer(model, options=dataclasses.replace(OPTIONS, **{name: value}))
        for name, value in (
            ("nms_iou", 0.5),
            ("min_size", 8.0),
            ("pre_nms_test", None),
            ("test", 21),
        )
    ]
    changed += [Proposer(model, min_side=95), Proposer(model, max_side=127)]
    changed += [Proposer(model, pixel_means=(1.0, 2.0, 3.0))]
    keys = {key, *map(cache_key, changed)}
    for name in ("conv1", "rpn_conv", "rpn_cls_score", "rpn_bbox_deltas"):
        bias = model.get_layer(name).bias
        bias.assign(np.asarray(bias) + 1e-3)
        keys.add(cache_key(proposer))
    assert len(keys) == 1 + len(changed) + 4


def test_precision_is_part_of_the_key(proposer):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = Proposer(network())
    finally:
        keras.config.set_dtype_policy("float32")
    half.model.set_weights(proposer.model.get_weights())
    assert weights_sha256(half.maps) == weights_sha256(proposer.maps)
    assert cache_key(half) != cache_key(proposer)


def test_objectness_of_every_anchor(proposer, tmp_path):
    record = tiny_dataset(tmp_path).images[0]  # 60 x 70, seen as 96 x 112 in cells of 8
    image = read_image(record.path)
    objectness, cell = proposer.objectness_map(image)
    model = proposer.model
    raw = keras.Model(model.input["images"], model.get_layer("rpn_cls_score").output)
    scaled = scale_image(image[None], (96, 112), proposer.pixel_means)
    logits = raw(scaled)[0].numpy().astype(np.float64).reshape(12, 14, -1, 2)
    expected = 1 / (1 + np.exp(logits[..., 0] - logits[..., 1]))
    assert objectness.shape == (12, 14, len(OPTIONS.base()))
    np.testing.assert_allclose(objectness, expected, atol=1e-5)
    np.testing.assert_allclose(cell, [8 * 60 / 96, 8 * 70 / 112])
