import numpy as np
import pytest
from PIL import Image, ImageDraw

from keras_frcnn.cli.__main__ import main
from tests.cli.arguments import train_arguments
from tests.tiny import tiny_trunk

OBJECT = (
    "<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin>"
    "<xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
)


@pytest.fixture(scope="package", autouse=True)
def trunk():
    """Lets `--trunk tiny` train in a second."""
    with tiny_trunk():
        yield


@pytest.fixture(scope="module")
def voc_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voc") / "my photos"
    for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(6):
        noise = rng.integers(90, 150, (96, 128, 3), dtype=np.uint8)
        image = Image.fromarray(noise)
        x, y = int(rng.integers(5, 60)), int(rng.integers(5, 30))
        name, color = (("disc", (220, 40, 40)), ("box", (40, 40, 220)))[i % 2]
        shape = ImageDraw.Draw(image).ellipse if name == "disc" else ImageDraw.Draw(image).rectangle
        shape((x, y, x + 50, y + 50), fill=color)
        image.save(folder / "JPEGImages" / f"{i}.jpg", quality=95)
        objects = OBJECT.format(x + 1, y + 1, x + 51, y + 51, name=name)
        (folder / "Annotations" / f"{i}.xml").write_text(
            f"<annotation><filename>{i}.jpg</filename><size><width>128</width>"
            f"<height>96</height><depth>3</depth></size>{objects}</annotation>"
        )
    (folder / "ImageSets/Main/trainval.txt").write_text("0\n1\n2\n3\n")
    (folder / "ImageSets/Main/test.txt").write_text("4\n5\n")
    (folder / "ImageSets/Main/empty.txt").write_text("\n")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    # The compiled op stays where it is; only proposals go to a cache of the test's own.
    folder = tmp_path_factory.mktemp("proposals")
    patch.setattr("keras_frcnn.proposals.cache.make_cache_folder", lambda _: folder)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def run(voc_folder, cache, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "a run"
    assert main(["proposals", "--data", str(voc_folder)]) == 0
    validation = ["--validate", "test", "--validate-every", "3"]
    assert main(["train", *train_arguments(voc_folder, run), *validation]) == 0
    return run
