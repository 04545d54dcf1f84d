"""`keras-frcnn anchors` on six images of 128 x 96 pixels, each with an object of 50 x 50."""

import re

import numpy as np
import pytest
from PIL import Image

from keras_frcnn.cli.__main__ import main
from tests.cli.arguments import error_of

SIZE = ["--min-side", "192", "--max-side", "256"]  # twice the images


def page(arguments, capsys):
    assert main(["anchors", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def figures(text, label):
    """What stands behind a label, for each set of anchors."""
    (line,) = (line for line in text.splitlines() if line.strip().startswith(label))
    return line.strip().removeprefix(label).split()


def test_the_page_compares_given_and_suggested_scales(voc_folder, capsys):
    text = page(["--data", voc_folder, *SIZE, "--anchor-scales", "8,16"], capsys)
    assert text.startswith(f"{voc_folder}:trainval: 4 images at a shorter side of 192 pixels")
    assert "4 objects as large as squares of 102 to 102 pixels" in text
    given, suggested = figures(text, "--anchor-scales")
    assert given == "8,16" and set(suggested.split(",")) & {"6", "7"}
    reached = [float(share.strip("%")) for share in figures(text, "share with an IoU of 0.7")[2:]]
    assert reached[0] < reached[1] == 100
    # One of 256 x 256 fits no image; nor do 352 and 368 pixels.
    (idle,) = (line for line in text.splitlines() if line.startswith("8,16: "))
    assert idle.startswith("8,16: idle, so that training refuses them: ")
    for size in ("368 x 192", "256 x 256", "176 x 352"):
        assert f"{size} (no place in any image)" in idle
    # Squares of 128 pixels begin at 8, 24, 40 and 56, and across at 8 to 120.
    assert re.search(r"128 x 128 +32\.0 ", text)


def test_suggested_scales_have_nothing_beside_them(voc_folder, capsys):
    arguments = ["--data", voc_folder, "--split", "test", *SIZE, "--anchor-ratios", "1"]
    (_, scales) = figures(page(arguments, capsys), "--anchor-scales")
    text = page([*arguments, "--anchor-scales", scales], capsys)
    assert figures(text, "--anchor-scales") == [scales]
    assert "These are the scales that would be suggested." in text


def test_images_without_anchors_are_named(voc_folder, capsys):
    text = page(["--data", voc_folder, *SIZE, "--anchor-scales", "20"], capsys)
    assert figures(text, "images without any anchor") == ["4", "0"]
    assert "20: too small for any anchor: 0.jpg, 1.jpg, 2.jpg, 3.jpg" in text


def test_several_scales_of_images_count_together(voc_folder, capsys):
    sides = ["--min-side", "96,192", "--max-side", "256"]
    text = page(["--data", voc_folder, *sides, "--anchor-scales", "3,6"], capsys)
    assert "4 images at a shorter side of 96 and 192 pixels" in text and "8 objects" in text


def test_the_picture(voc_folder, tmp_path, capsys):
    path = tmp_path / "anchors.png"
    text = page(["--data", voc_folder, *SIZE, "--anchor-scales", "8,16", "--out", path], capsys)
    assert f"drawn in {path}" in text
    with Image.open(path) as picture:
        assert picture.format == "PNG" and picture.width > 2 * 256 and picture.height > 2 * 192
        colours = {tuple(c) for c in np.asarray(picture).reshape(-1, 3)}
    assert {(86, 180, 233), (230, 159, 0)} <= colours, "those of the first two scales"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--anchor-scales", "8,8"], "anchor_scales: must be different numbers"),
        (["--trunk", "vgg17"], "trunk: 'vgg17' is unknown, the nearest is 'vgg19'"),
        (["--min-side", "5", "--max-side", "7"], "--min-side: the images of "),
        (["--split", "empty"], "empty"),
        (["--out", "/nowhere/anchors.png"], "cannot write /nowhere/anchors.png"),
    ],
)
def test_errors(arguments, message, voc_folder, capsys):
    error = error_of(["anchors", "--data", voc_folder, *arguments], capsys)
    assert error.startswith("keras-frcnn anchors: ") and message in error
    assert error.count("\n") == 1
