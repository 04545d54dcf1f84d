"""Pictures that `detect` and `client` draw, known again later: they are neither taken for
photographs nor anything else overwritten in their place.
"""

from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from keras_frcnn.files import replacing

_MARK = ("Software", "keras-frcnn detect")  # a text in the PNG file


def save_drawing(picture: Image.Image, target: Path) -> None:
    """Write a picture as PNG; it appears when it is complete."""
    about = PngInfo()
    about.add_text(*_MARK)
    with replacing(target) as partial:
        picture.save(partial, "PNG", pnginfo=about)


def is_drawing(path: Path) -> bool:
    """Whether the file is a picture of `save_drawing`."""
    if path.suffix.lower() != ".png":
        return False
    try:
        with Image.open(path) as picture:
            return picture.format == "PNG" and picture.info.get(_MARK[0]) == _MARK[1]
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False  # Pillow's ways to say that it is no image, or a damaged one
