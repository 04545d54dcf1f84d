"""Joint training on two devices, each with its images, against one."""

import numpy as np
import pytest

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.training.fit import train
from tests import runner
from tests.images import colored_rectangles
from tests.tiny import add_trunk, tiny_settings
from tests.training.test_resume import state


@pytest.fixture(autouse=True)
def tiny_trunk(monkeypatch):
    add_trunk(monkeypatch)


def test_two_devices_take_the_joint_step_of_one(tmp_path):
    """The images have unlike numbers of sampled anchors, RoIs and objects, so that a mean over the
    devices would weigh them wrongly; the RoIs' labels are found on the device that has the image.
    """
    dataset = colored_rectangles(
        tmp_path,
        [(64, 64), (64, 100)],
        [[(8, 8, 40, 40)], [(10, 20, 50, 60), (55, 5, 95, 55)]],
        labels=[[1], [2, 1]],
    )
    settings = tiny_settings(
        detector="faster_rcnn",
        anchor_scales=(5, 6),
        anchor_ratios=(1,),
        anchors_per_image=24,
        rois_per_image=40,
        proposals_train=60,
        pre_nms_train=100,
        proposal_min_size=4,
        steps=2,
        l2=0.0,
        rate=0.003,
    )
    one, two = tmp_path / "one", tmp_path / "two"
    images = ImageSet(dataset)
    process = runner.start(two, images, settings, cpus=2, devices="cpu:0,cpu:1")
    train(one, images, settings)
    runner.finish(*process)
    expected, found = state(one, 2), state(two, 2)
    momenta = [path for path in expected if "momentum" in path]
    assert len(momenta) == 18  # kernel and bias of nine layers
    for path in momenta:
        assert np.abs(expected[path]).max() > 1e-8, path
    for path in expected:
        np.testing.assert_allclose(found[path], expected[path], 1e-4, 1e-7, err_msg=path)
    header = (one / "log.csv").read_text().splitlines()[0].split(",")
    rows = [np.loadtxt(run / "log.csv", delimiter=",", skiprows=1) for run in (one, two)]
    np.testing.assert_allclose(*rows, rtol=1e-5)
    log = dict(zip(header, rows[0], strict=True))
    for column in ("rpn_cls_score", "rpn_bbox_pred", "cls_score", "bbox_pred"):
        assert log[f"{column}_loss"] > 0
    assert 0 < log["foreground_share"] < 1 and 0 < log["rpn_foreground_share"] < 1
