"""Whether the boxes of a photograph are those of the stored or of the turned image.

Cameras store pixels as the sensor lies and say by EXIF how to turn them. Some annotation tools
turn the image, others do not, and only the annotated size tells which: where a quarter turn
changes it. Where it does not, the other files of the data set have to tell.
"""

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from keras_frcnn.data.images import TRANSPOSED, ImageHeader
from keras_frcnn.errors import InputError


class Fits(Enum):
    """The readings of an image that its annotated size fits."""

    TURNED = "as EXIF says"
    STORED = "as stored"
    BOTH = "both"
    NEITHER = "neither"


class Annotated(NamedTuple):
    """An image and what its annotation says of its size."""

    name: str  # the image, relative to JPEGImages
    image: str  # its path
    header: ImageHeader
    annotation: Path | None  # the file that says so
    size: tuple[float, float] | None  # width, height; None where it is not known
    has_objects: bool

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height of the image turned as EXIF says."""
        stored = (self.header.width, self.header.height)
        return stored[::-1] if self.header.orientation in TRANSPOSED else stored

    @property
    def fits(self) -> Fits:
        """What the size says."""
        if self.size is None:
            return Fits.BOTH
        turned = self.size == self.upright
        stored = self.size == (self.header.width, self.header.height)
        return _FITS[turned, stored]

    @property
    def is_ambiguous(self) -> bool:
        """Whether it matters how to read the image, and its size does not say it."""
        return self.header.orientation != 1 and self.has_objects and self.fits is Fits.BOTH


_FITS = {
    (True, True): Fits.BOTH,
    (True, False): Fits.TURNED,
    (False, True): Fits.STORED,
    (False, False): Fits.NEITHER,
}


def check_sizes(files: Sequence[Annotated]) -> None:
    """Raises an `InputError` if annotations are of images of another size, and counts them."""
    wrong = [file for file in files if file.fits is Fits.NEITHER]
    if not wrong:
        return
    first, swapped = wrong[0], sum(file.size == file.upright[::-1] for file in wrong)
    annotated, actual = ("{:g} x {:g}".format(*s) for s in (first.size, first.upright))
    text = f"{first.annotation}: was made for an image of {annotated} pixels, "
    text += f"but {first.image} has {actual}"
    if len(wrong) > 1:
        text += f"; {len(wrong)} of {len(files)} images have another size than annotated"
    is_xml = first.annotation is not None and first.annotation.suffix.lower() == ".xml"
    what = "<size>, or remove it" if is_xml else "width and height, or remove them"
    remedy = f"correct {what}, if the boxes are right"
    if swapped:
        which = "all" if swapped == len(wrong) else str(swapped)
        text += "; width and height are exchanged"
        text += f" in {which} of them" if len(wrong) > 1 else ""
    if swapped < len(wrong):
        remedy += "; else annotate anew or restore the image"
    raise InputError(f"{text}: {remedy}")


def turns(files: Sequence[Annotated]) -> bool | None:
    """Whether a data set was annotated on turned images; None where its files do not tell."""
    said = {file.fits for file in files} & {Fits.TURNED, Fits.STORED}
    return said == {Fits.TURNED} if len(said) == 1 else None


def orientation(file: Annotated, data_set_turns: bool | None) -> int:
    """The EXIF orientation, 1 to 8, under which the boxes of an image fit it."""
    if file.fits is Fits.STORED or (file.fits is Fits.BOTH and data_set_turns is False):
        return 1
    return file.header.orientation


def ambiguity(files: Sequence[Annotated]) -> str:
    """A line that warns of images about which nothing tells; `files` are these, at least one."""
    first, *others = files
    text = f"{first.image}: EXIF turns it (orientation {first.header.orientation}), "
    text += "and nothing tells whether its boxes are of the turned or the stored image"
    if others:
        names = ", ".join(file.name for file in others[:3])
        more = ", ..." if len(others) > 3 else ""
        text += f", as with {len(others)} more ({names}{more})"
    return f"{text}; they are taken as of the turned one: look at a picture of them"
