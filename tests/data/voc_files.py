"""Writes small data sets in VOC format, independently of the package's own writer."""

import numpy as np
from PIL import Image

SOURCE = "<source><annotation>PASCAL VOC2007</annotation></source>"


def xml_object(name="cat", box=(11, 21, 30, 40), difficult="<difficult>0</difficult>"):
    corners = "".join(
        f"<{tag}>{value}</{tag}>"
        for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return (
        f"<object><name>{name}</name><pose>Unspecified</pose><truncated>0</truncated>"
        f"{difficult}<bndbox>{corners}</bndbox></object>"
    )


def xml(*objects, filename="a.jpg", size=(80, 60), extra=""):
    width, height = size
    return (
        f"<annotation><filename>{filename}</filename>{extra}<size><width>{width}</width>"
        f"<height>{height}</height><depth>3</depth></size>{''.join(objects)}</annotation>"
    )


def photograph(width=80, height=60, seed=0):
    """Smooth enough for JPEG, different in every direction."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def voc_folder(root, images, splits=None):
    """Writes `images` {id: XML text or None} as 80 x 60 JPEG files, and split lists."""
    for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / part).mkdir(parents=True, exist_ok=True)
    for seed, (image_id, text) in enumerate(images.items()):
        photograph(seed=seed).save(root / "JPEGImages" / f"{image_id}.jpg")
        if text is not None:
            (root / "Annotations" / f"{image_id}.xml").write_text(text)
    for split, ids in ({"train": list(images)} if splits is None else splits).items():
        (root / "ImageSets/Main" / f"{split}.txt").write_text("".join(f"{i}\n" for i in ids))
    return root
