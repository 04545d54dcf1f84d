"""`keras-frcnn anchors`: what anchors have to learn from in a data set, beside suggested ones."""

from pathlib import Path

import numpy as np
from PIL import Image

import keras_frcnn.cli.keras_setup  # noqa: F401
from keras_frcnn.batches.anchor_check import describe, format_scales
from keras_frcnn.batches.anchor_scales import best_overlaps, suggest_scales
from keras_frcnn.batches.anchor_statistics import AnchorStatistics, anchor_statistics
from keras_frcnn.batches.scaled_objects import ScaledObjects, scaled_objects
from keras_frcnn.boxes import pairwise_iou
from keras_frcnn.cli.common import asked_fractions, load_dataset
from keras_frcnn.cli.training_options import given
from keras_frcnn.data.dataset import Dataset
from keras_frcnn.data.images import read_image
from keras_frcnn.data.load import training_split
from keras_frcnn.data.preprocessing import scale_image
from keras_frcnn.errors import InputError
from keras_frcnn.file_names import printable
from keras_frcnn.files import replacing
from keras_frcnn.models.anchors import base_anchors, inside_anchors
from keras_frcnn.models.trunks import TRUNKS
from keras_frcnn.pictures.draw import contact_sheet, draw_anchors, draw_best_anchors
from keras_frcnn.settings import Settings

NAMED = 5  # files without anchors that are named, at most
MOST_DRAWN = 6  # objects of the photograph that is drawn


def anchors(args) -> None:
    """Print the table of the given and of the suggested anchors; draw them."""
    settings = Settings(**given(args))
    if TRUNKS[settings.trunk].levels:
        raise InputError(
            f"--trunk: {settings.trunk} is a pyramid, whose levels share their layers: no anchor "
            "stays untrained, and there is nothing to choose"
        )
    stride = TRUNKS[settings.trunk].stride
    split = args.split or training_split(args.data, args.data_dir)
    dataset = load_dataset(
        args.data, split, args.data_dir, fractions=asked_fractions(args), masks=False
    )

    objects = scaled_objects(dataset, settings.min_side, settings.max_side)
    ratios, scales = settings.anchor_ratios, [settings.anchor_scales]
    suggested = suggest_scales(objects, len(scales[0]), ratios, stride)
    if suggested != tuple(sorted(scales[0])):
        scales.append(suggested)
    found = [anchor_statistics(objects, base_anchors(s, ratios, stride), stride) for s in scales]
    names = [format_scales(s) for s in scales]
    print("\n".join([*_about(objects, settings), "", *_table(names, found)]))
    if args.out:
        picture = _picture(dataset, objects, names, found, stride)
        with replacing(Path(args.out)) as partial:
            picture.save(partial, format="PNG")
        print(f"\ndrawn in {printable(args.out)}")


def _about(objects: ScaledObjects, settings: Settings) -> list[str]:
    """What is counted: images and objects, and their sizes."""
    images = len(set(objects.filenames))
    side = " and ".join(map(str, settings.min_side))
    height, width = np.median(objects.sizes, axis=0)
    sides = np.sqrt(np.prod(objects.boxes[:, 2:] - objects.boxes[:, :2], axis=1))
    low, quarter, half, most, high = np.quantile(sides, (0, 0.25, 0.5, 0.75, 1))
    return [
        f"{objects.name}: {images} images at a shorter side of {side} pixels, the longer at most "
        f"{settings.max_side} (typically {width:.0f} x {height:.0f})",
        f"{len(objects.boxes)} objects as large as squares of {low:.0f} to {high:.0f} pixels, half "
        f"of them {quarter:.0f} to {most:.0f} (median {half:.0f})",
    ]


def _table(names: list[str], found: list[AnchorStatistics]) -> list[str]:
    """Figures of the given anchors, and of the suggested ones beside them."""
    rows = [
        ("--anchor-scales", names),
        ("", ["given", "suggested"][: len(found)]),
        ("objects: mean of the best IoU", [f"{s.best_iou.mean():.3f}" for s in found]),
        ("  share with an IoU of 0.5 or more", [f"{s.reached(0.5):.1%}" for s in found]),
        ("  share with an IoU of 0.7 or more", [f"{s.reached(0.7):.1%}" for s in found]),
        ("  number with several best anchors", [s.tied for s in found]),
        ("  number that no anchor touches", [s.untouched for s in found]),
        ("positives an image", [f"{s.positives_per_image:.1f}" for s in found]),
        ("  share with an IoU below 0.3", [f"{s.poor_share:.1%}" for s in found]),
        ("images without any anchor", [len(s.without_anchors) for s in found]),
    ]
    lines = [f"{label:36}" + "".join(f"{value!s:>16}" for value in v) for label, v in rows]
    lines += ["", "".join(f"{'anchor':>13}{'places':>9}{'positive':>9}   " for _ in found).rstrip()]
    for a in range(len(found[0].base)):
        lines.append(
            "".join(
                f"{describe(s.base, [a]):>13}{s.inside[a] / s.images:9.1f}{s.positives[a]:9}   "
                for s in found
                if a < len(s.base)
            ).rstrip()
        )
    lines.append("")
    for name, s in zip(names, found, strict=True):
        lines.append(f"{name}: {_idle(s)}")
        if s.without_anchors:
            more = ", ..." if len(s.without_anchors) > NAMED else ""
            files = ", ".join(map(printable, s.without_anchors[:NAMED]))
            lines.append(f"{name}: too small for any anchor: {files}{more}")
    if len(found) == 1:
        lines.append("These are the scales that would be suggested.")
    return lines


def _idle(found: AnchorStatistics) -> str:
    if not len(found.idle):
        return "every anchor has objects to learn from"
    places = ["" if found.inside[a] else " (no place in any image)" for a in found.idle]
    idle = [describe(found.base, [a]) + p for a, p in zip(found.idle, places, strict=True)]
    return f"idle, so that training refuses them: {', '.join(idle)}"


def _picture(
    dataset: Dataset,
    objects: ScaledObjects,
    names: list[str],
    found: list[AnchorStatistics],
    stride: int,
) -> Image.Image:
    """A row for each set of anchors: those of a cell in the middle, and the best of each object."""
    n = _telling(objects, found[-1].base, stride)
    size, boxes = objects.sizes[n], objects.by_image()[n]
    (record,) = (r for r in dataset.images if r.filename == objects.filenames[n])
    image = scale_image(read_image(record.path, record.orientation), size, (0, 0, 0))
    image = np.round(image).astype(np.uint8)[..., ::-1]  # it is BGR
    pictures = []
    for name, base in zip(names, (s.base for s in found), strict=True):
        kinds = np.arange(len(base)) % (name.count(",") + 1)  # scales are the inner loop
        middle = base + stride * np.tile(size[::-1] // stride // 2, 2)
        pictures.append(draw_anchors(image, middle, kinds, f"--anchor-scales {name}"))
        inside, index = (x.numpy() for x in inside_anchors(size, base, stride))
        iou = pairwise_iou(inside, boxes).numpy()
        best = iou.argmax(axis=0) if len(inside) else np.zeros(0, int)
        pictures.append(
            draw_best_anchors(
                image, boxes, inside[best], kinds[index[best, 2]], iou.max(axis=0, initial=0)
            )
        )
    return contact_sheet(pictures, columns=2, cell_size=720)


def _telling(objects: ScaledObjects, base: np.ndarray, stride: int) -> int:
    """The image with the most different best anchors among those of few objects."""
    best = best_overlaps(objects, base, stride).argmax(axis=1)
    kinds = np.split(best, np.searchsorted(objects.image, np.arange(1, len(objects.sizes))))
    few = max(MOST_DRAWN, min(map(len, kinds)))
    return max(range(len(kinds)), key=lambda n: (len(kinds[n]) <= few, len(set(kinds[n]))))
