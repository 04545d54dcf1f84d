"""The sections of a report as HTML, each from its content; every text of a user is escaped."""

import html
import math
from collections.abc import Sequence

import numpy as np

from keras_frcnn.evaluation.errors import KINDS
from keras_frcnn.inspection.error_tables import class_numbers
from keras_frcnn.proposals.recall import SIZES
from keras_frcnn.report.content import MIN_SCORE, Content
from keras_frcnn.report.svg import line_chart, thinned
from keras_frcnn.settings import Settings, describe, format_value, option

_MOST_CLASSES = 40  # of which the confusion matrix is shown
Cell = str | int | float


def text(value: Cell | None) -> str:
    """A value in a cell: fractions with three decimals, "–" where nothing is known."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else html.escape(str(value))


def table(head: Sequence[str], rows: Sequence[Sequence[Cell | None]], label: str) -> str:
    """A table that scrolls inside the page; the first column names the row."""
    heads = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in head)
    body = "".join(
        f'<tr><th scope="row">{text(first)}</th>'
        f"{''.join(f'<td>{text(cell)}</td>' for cell in others)}</tr>"
        for first, *others in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(label)}">'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def section(name: str, title: str, *parts: str) -> str:
    """A section of the page, which the contents lead to."""
    return f'<section id="{name}"><h2>{html.escape(title)}</h2>{"".join(parts)}</section>'


def tiles(content: Content) -> str:
    """The numbers to know first."""
    counts = content.errors.counts()
    objects = int(content.voc.positives.sum())
    how = {"area": "VOC, area", "11point": "VOC, 11 points"}[content.voc.metric]
    values = [
        (text(content.voc.mean_ap), f"mAP at IoU 0.5 ({how})"),
        (text(content.coco.mean_ap), "AP at IoU 0.50 to 0.95 (COCO)"),
        (str(len(content.dataset.images)), f"images with {objects} objects"),
        (str(counts["missed"]), "objects missed"),
    ]
    if content.seconds:
        values.append(
            (f"{1000 * sum(content.seconds.values()):.0f} ms", "an image, read and detected")
        )
    return (
        '<div class="tiles">'
        + "".join(
            f"<div><strong>{value}</strong><span>{html.escape(name)}</span></div>"
            for value, name in values
        )
        + "</div>"
    )


def training(contents: Sequence[Content]) -> str:
    """Loss of the trainings, and the mAP of their validation; nothing where there was none."""
    charts = []
    for part in dict.fromkeys(part for content in contents for part in content.log):
        lines = {
            _legend(content, contents): thinned(_column(content.log[part], "loss"))
            for content in contents
            if part in content.log
        }
        if len(contents) == 1:
            rows = contents[0].log[part]
            losses = sorted({c for row in rows for c in row if c.endswith("_loss")})
            lines = {"all": lines[""]} | {
                c.removesuffix("_loss"): thinned(_column(rows, c)) for c in losses
            }
        charts.append(line_chart(" ".join(filter(None, ("Loss", part))), lines, "mini-batch"))
    validated = [content for content in contents if content.validation]
    if validated:
        lines = {
            _legend(content, contents): _column(content.validation, "mAP") for content in validated
        }
        charts.append(line_chart("mAP in validation", lines, "mini-batch", (0, 1)))
    return (
        section("training", "Training", f'<div class="charts">{"".join(charts)}</div>')
        if charts
        else ""
    )


def _legend(content: Content, contents: Sequence[Content]) -> str:
    """What its lines are called: nothing, where it is alone."""
    return content.name if len(contents) > 1 else ""


def _column(rows: Sequence[dict[str, float]], name: str) -> list[tuple[float, float]]:
    return [(row["step"], row[name]) for row in rows if name in row]


def classes(content: Content) -> str:
    """AP of each class, and its precision over recall."""
    voc, coco = content.voc, content.coco
    rows = [
        [name, int(voc.positives[k]), float(voc.ap[k]), float(coco.class_ap[k])]
        for k, name in enumerate(voc.class_names)
    ]
    rows.append(["mean", int(voc.positives.sum()), voc.mean_ap, coco.mean_ap])
    charts = [
        line_chart(
            f"{name}: AP {voc.ap[k]:.3f}", {"": thinned(_curve(voc, k))}, "recall", (0, 1), (0, 1)
        )
        for k, name in enumerate(voc.class_names)
        if not np.isnan(voc.ap[k])
    ]
    return section(
        "classes",
        "Classes",
        table(("class", "objects", "AP (VOC)", "AP (COCO)"), rows, "average precision"),
        f'<h3>Precision over recall</h3><div class="charts small">{"".join(charts)}</div>',
    )


def _curve(voc, k: int) -> list[tuple[float, float]]:
    return list(zip(voc.recall[k].tolist(), voc.precision[k].tolist(), strict=True))


def confusion(content: Content) -> str:
    """The confusion matrix, shaded by the share of a row."""
    names, counts = content.dataset.class_names, content.confusion
    about = (
        f"Detections from score {MIN_SCORE:g} on; each takes the object that it overlaps most, by "
        "an IoU above 0.5. A row is a class of objects, a column what they were taken for."
    )
    if len(names) > _MOST_CLASSES:
        return section(
            "confusion", "Confusion", f"<p>{len(names)} classes are too many to show.</p>"
        )
    heads = "".join(
        f'<th scope="col"><span>{html.escape(n)}</span></th>' for n in (*names, "missed")
    )
    rows = []
    for i, name in enumerate((*names, "nothing")):
        total = max(int(counts[i].sum()), 1)
        cells = "".join(
            f'<td style="--share:{count / total:.2f}"'
            f"{' class=diagonal' if i == j and i < len(names) else ''}>{count or ''}</td>"
            for j, count in enumerate(counts[i].tolist())
        )
        rows.append(f'<tr><th scope="row">{html.escape(name)}</th>{cells}</tr>')
    matrix = (
        '<div class="scroll" tabindex="0" role="region" aria-label="confusion matrix">'
        f'<table class="matrix"><thead><tr><td></td>{heads}</tr></thead><tbody>'
        f"{''.join(rows)}</tbody></table></div>"
    )
    return section("confusion", "Confusion", f"<p>{about}</p>", matrix)


def errors(content: Content) -> str:
    """How many errors there are of each kind, and what mending them would gain."""
    counts, gains = content.errors.counts(), content.gains.mean
    rows: list[list[Cell | None]] = [[kind, counts[kind], gains[kind]] for kind in KINDS]
    if (unreached := content.errors.count_unreached()) is not None:
        rows.append(["missed, no proposal near", unreached, None])
    numbers = class_numbers(content.errors, content.gains, content.detections, content.dataset)
    class_rows = [
        [row["name"], *(f"{row[kind]} ({text(row[f'{kind} gain'])})" for kind in KINDS)]
        for row in numbers
    ]
    about = (
        "In the way of TIDE (Bolya et al. 2020). The gain is what the mAP would have if all errors "
        "of the kind were mended and nothing else; gains do not add up."
    )
    return section(
        "errors",
        "Errors",
        f"<p>{about}</p>",
        table(("error", "count", "mAP gains"), rows, "errors by kind"),
        "<details><summary>By class: count (gain in AP)</summary>",
        table(("class", *KINDS), class_rows, "errors by class"),
        "</details>",
    )


def recall(contents: Sequence[Content]) -> str:
    """How many objects the proposals reach; nothing where they are not known."""
    known = [content for content in contents if content.recall is not None]
    if not known:
        return ""
    ious = np.linspace(0.5, 1, 26)
    over_iou, over_number, rows = {}, {}, []
    for content in known:
        found, name = content.recall, _legend(content, contents)
        over_iou[name] = list(zip(ious.tolist(), found.at(ious)[-1].tolist(), strict=True))
        over_number[name] = list(
            zip(map(float, found.counts), found.at([0.5])[:, 0].tolist(), strict=True)
        )
        parts = [("all", found)] + [(size, found.of_size(size)) for size in SIZES]
        rows += [
            [
                f"{name} {part}".strip(),
                len(of.labels),
                *of.at([0.5, 0.7])[-1].tolist(),
                float(of.average()[-1]),
            ]
            for part, of in parts
        ]
    charts = line_chart("Recall over IoU, of all proposals", over_iou, "IoU", (0, 1), (0.5, 1))
    charts += line_chart("Recall at IoU 0.5", over_number, "proposals of an image, at most", (0, 1))
    return section(
        "recall",
        "Proposals",
        f'<div class="charts">{charts}</div>',
        table(
            ("objects", "count", "recall at 0.5", "at 0.7", "average recall"),
            rows,
            "recall of proposals",
        ),
    )


def timing(content: Content) -> str:
    """Milliseconds of each stage; nothing where nothing was timed."""
    if not content.seconds:
        return ""
    rows = [[stage, f"{1000 * seconds:.1f}"] for stage, seconds in content.seconds.items()]
    note = (
        "Medians on the computer that wrote this report; detection includes scaling and "
        "suppression."
    )
    return section(
        "timing", "Time", f"<p>{note}</p>", table(("stage", "ms an image"), rows, "timing")
    )


def settings(content: Content) -> str:
    """Every setting of the run; those that are not the defaults first."""
    if content.settings is None:
        return ""
    found, base = content.settings.to_dict(), Settings().to_dict()
    changed = [key for key in found if found[key] != base[key]]
    rows = [
        [option(key), format_value(getattr(content.settings, key)), describe(key)]
        for key in (*changed, *(key for key in found if key not in changed))
    ]
    lead = f"{len(changed)} of {len(found)} are not the defaults and stand first."
    return section(
        "settings",
        "Settings",
        f"<details><summary>{lead}</summary>",
        table(("option", "value", "meaning (default)"), rows, "settings"),
        "</details>",
    )
