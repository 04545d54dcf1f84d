"""What `check_data` found as a page of text and as a contact sheet."""

import numpy as np
from PIL import Image

from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.data.images import read_image
from keras_frcnn.errors import InputError, cut
from keras_frcnn.inspection.data_check import DataCheck
from keras_frcnn.inspection.mask_check import CELLS, COARSE, MaskStatistics
from keras_frcnn.pictures.draw import contact_sheet, draw_ground_truth

PICTURES = 12
_MOST_CLASSES = 30  # of a page


def format_check(check: DataCheck) -> str:
    """The page: form, splits, classes, findings, and how many objects proposals reach."""
    lines = [f"{check.name}: {check.form or 'not recognised'}", *check.notes]
    if check.splits:
        lines += ["", *_splits(check), "", *_classes(check)]
    if check.masks:
        lines += ["", *_masks(check.masks)]
    if check.searched:
        lines += [
            "",
            f"proposals of selective search reach {check.reached:.1%} of the objects at IoU 0.5 "
            f"(in {check.searched} images)",
        ]
    lines.append("")
    for finding in check.findings:
        mark = "REFUSED " if finding.is_refused else ""
        lines.append(f"{mark}{finding.kind}: {finding.count}")
        lines += [f"    {example}" for example in finding.examples]
        if finding.count > len(finding.examples):
            lines.append("    ...")
    if not check.findings:
        lines.append("nothing doubtful was found")
    elif not check.is_refused:
        lines.append("none of this stops a training")
    return "\n".join(lines)


def draw_check(check: DataCheck, columns: int = 4) -> Image.Image | None:
    """Ground truth of some images, so that each class is seen; None where there is no image."""
    pictures = []
    for record in _chosen(check):
        try:
            image = read_image(record.path, record.orientation)
        except InputError:  # is among the findings
            continue
        pictures.append(draw_ground_truth(image, record, check.class_names))
    return contact_sheet(pictures, columns) if pictures else None


def _splits(check: DataCheck) -> list[str]:
    rows = [("split", "images", "objects", "difficult", "width", "height")]
    for name, dataset in check.splits.items():
        counts = [len(r.labels) for r in dataset.images]
        difficult = sum(int(r.is_difficult.sum()) for r in dataset.images)
        sizes = np.array([(r.width, r.height) for r in dataset.images])
        spans = [_span(sizes[:, i]) for i in (0, 1)]
        rows.append((name, str(len(counts)), str(sum(counts)), str(difficult), *spans))
    return _aligned(rows)


def _classes(check: DataCheck) -> list[str]:
    """A row a class: its objects in each split, and their sizes in all of them."""
    records = check.images()
    labels = np.concatenate([np.zeros(0, int), *(r.labels for r in records)])
    boxes = np.concatenate([np.zeros((0, 4)), *(r.boxes for r in records)])
    sides = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
    reach = check.reached_of if check.searched else []
    head = ("class", *check.splits, "side (pixels): median, 10% to 90%")
    rows = [(*head, "reached") if len(reach) else head]
    for k, name in enumerate(check.class_names[:_MOST_CLASSES], start=1):
        counts = [_count(dataset, k) for dataset in check.splits.values()]
        of_class = sides[labels == k]
        span = "-"
        if len(of_class):
            low, middle, high = np.percentile(of_class, (10, 50, 90))
            span = f"{middle:.0f}, {low:.0f} to {high:.0f}"
        row = (cut(name), *map(str, counts), span)
        if len(reach):
            row += ("-" if np.isnan(reach[k - 1]) else f"{reach[k - 1]:.0%}",)
        rows.append(row)
    lines = _aligned(rows)
    if (more := len(check.class_names) - _MOST_CLASSES) > 0:
        lines.append(f"and {more} more classes")
    return lines


def _masks(found: MaskStatistics) -> list[str]:
    small, medium, large = found.sizes
    of = f" of {found.sampled}" if found.sampled < sum(found.sizes) else ""
    return [
        f"masks: {sum(found.sizes)} of {found.objects} objects have one: {small} small (below "
        f"32 x 32 pixels), {medium} medium, {large} large (from 96 x 96 on)",
        f"cut to {CELLS} x {CELLS} cells and pasted, masks{of} keep a mean IoU of "
        f"{found.mean_iou:.3f}; {found.coarse:.1%} stay below {COARSE}",
    ]


def _count(dataset: Dataset, k: int) -> int:
    return sum(int((record.labels == k).sum()) for record in dataset.images)


def _span(values: np.ndarray) -> str:
    low, high = values.min(), values.max()
    return f"{low}" if low == high else f"{low} to {high}"


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *others = (cell.ljust(w) for cell, w in zip(row, widths, strict=True))
        lines.append("  ".join([first, *others]).rstrip())
    return lines


def _chosen(check: DataCheck) -> list[ImageRecord]:
    """Images in which every class is seen as often as any, the rare ones first."""
    records = [record for record in check.images() if len(record.labels)]
    shown = np.zeros(len(check.class_names) + 1)
    chosen: list[ImageRecord] = []
    while records and len(chosen) < PICTURES:
        # The first that has the class that was shown least.
        place = min(range(len(records)), key=lambda i: (shown[records[i].labels].min(), i))
        record = records.pop(place)
        shown[np.unique(record.labels)] += 1
        chosen.append(record)
    return chosen
