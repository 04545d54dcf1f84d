"""The detections of one image, as they pass from the detector to evaluation, pictures and files.

D is the number of detections.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_frcnn.errors import InputError


@dataclass(frozen=True, eq=False)
class Detections:
    """Boxes found in one image, with scores and classes; lists and other types are converted.

    `str` gives a line for each. Raises `InputError` if the shapes do not fit together.
    """

    boxes: np.ndarray  # float32 [D, 4], (x1, y1, x2, y2) in pixels of the original image
    scores: np.ndarray  # float32 [D], probability of the class
    classes: np.ndarray  # int32 [D], 1..K
    class_names: tuple[str, ...] = ()  # of classes 1..K; empty where nobody has said
    # Run lengths of each one's bitmap in the original image (`keras_frcnn.run_length`), of which
    # `image_size` is (height, width); None where the detector predicts no masks.
    masks: tuple[bytes, ...] | None = None
    image_size: tuple[int, int] | None = None

    def __post_init__(self):
        for name, dtype in (("boxes", np.float32), ("scores", np.float32), ("classes", np.int32)):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype))
        object.__setattr__(self, "class_names", tuple(self.class_names))
        if not self.boxes.size:
            object.__setattr__(self, "boxes", self.boxes.reshape(0, 4))
        count = len(self.boxes)
        shapes = (self.boxes.shape, self.scores.shape, self.classes.shape)
        if shapes != ((count, 4), (count,), (count,)):
            raise InputError(
                "detections need boxes [D, 4], scores [D] and classes [D], "
                f"got shapes {list(map(list, shapes))}"
            )
        if self.masks is None:
            return
        object.__setattr__(self, "masks", tuple(self.masks))
        if len(self.masks) != count or self.image_size is None:
            raise InputError(
                f"masks: must be one for each of {count} detections, with the image_size, not "
                f"{len(self.masks)} with {self.image_size}"
            )

    def __len__(self) -> int:
        return len(self.boxes)

    def __str__(self) -> str:
        return "\n".join(
            f"{name} {score:.2f} at {', '.join(f'{x:.0f}' for x in box)}"
            for name, score, box in zip(self.names, self.scores, self.boxes, strict=True)
        )

    @property
    def names(self) -> list[str]:
        """The name of each one's class, "class 3" where it has none."""
        known = dict(enumerate(self.class_names, 1))
        return [known.get(k, f"class {k}") for k in self.classes.tolist()]

    def above(self, min_score: float) -> "Detections":
        """Those whose score is at least `min_score`."""
        keep = self.scores >= min_score
        masks = None
        if self.masks is not None:
            masks = tuple(mask for mask, kept in zip(self.masks, keep, strict=True) if kept)
        return Detections(
            self.boxes[keep],
            self.scores[keep],
            self.classes[keep],
            self.class_names,
            masks,
            self.image_size,
        )

    def to_json(self, class_names: Sequence[str]) -> list[dict]:
        """One `{"class": name, "score": s, "box": [x1, y1, x2, y2]}` each, for `json.dump`.

        With masks also `"mask": {"size": [height, width], "counts": text}`, COCO's run lengths.
        `class_names[k - 1]` names class k.
        """
        rows = zip(self.boxes, self.scores, self.classes, strict=True)
        found = [
            {"class": class_names[k - 1], "score": float(score), "box": box.tolist()}
            for box, score, k in rows
        ]
        for about, mask in zip(found, self.masks or (), strict=False):
            about["mask"] = {"size": list(self.image_size), "counts": mask.decode("ascii")}
        return found
