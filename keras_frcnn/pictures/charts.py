"""Charts of numbers, by matplotlib: bars, lines, and curves of precision and recall.

Figures are drawn on canvases of their own, without pyplot and with matplotlib's own defaults, so
that neither a screen nor the user's settings and figures have a part in them.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from keras_frcnn.evaluation.voc import Evaluation
from keras_frcnn.proposals.recall import RankedRecall

SIZE = (720, 400)  # pixels of a line chart; a bar chart is as wide
WIDE = (1080, 400)  # of the curves of proposals' recall, without their legend
PANEL = 240  # pixels of a side of a class's precision-recall curve
_DPI = 100
# Okabe and Ito's palette, whose colours colour-blind people can tell apart too.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
SHADE = "#d6e8f3"
_STYLE = {
    "text.parse_math": False,  # a class may be called "$5$"
    "font.size": 9,
    "axes.prop_cycle": matplotlib.cycler(color=COLORS),
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#dedede",
    "lines.linewidth": 2,
    "legend.frameon": False,
}


def bar_chart(title: str, quantity: str, values: Mapping[str, float]) -> Image.Image:
    """A horizontal bar for each label, from 0; NaN has none."""

    def draw(figure):
        axes = figure.add_subplot()
        known = [v for v in values.values() if not math.isnan(v)]
        axes.barh(range(len(values)), list(values.values()), height=0.65)
        for i, value in enumerate(values.values()):
            if not math.isnan(value):
                at = {"xytext": (5, 0), "textcoords": "offset points", "va": "center"}
                axes.annotate(f"{value:.3f}", (value, i), **at)
        labels = [_shortened(figure, label, SIZE[0] / 2) for label in values]
        axes.set_yticks(range(len(values)), labels)
        axes.set_ylim(len(values) - 0.5, -0.5)  # from the top down
        axes.set_xlim(0, 1.12 * max(known, default=0) or 1)  # with room for the last number
        axes.set_xlabel(quantity)
        axes.set_title(title, loc="left", size=12)
        axes.grid(axis="x")

    return _picture((SIZE[0], 100 + 36 * len(values)), draw)


def line_chart(
    title: str, quantity: str, x: Sequence[float], lines: Mapping[str, Sequence[float]]
) -> Image.Image:
    """A line for each name over `x`, in ascending order; a gap where a value is NaN."""

    def draw(figure):
        axes = figure.add_subplot()
        for name, line in lines.items():
            axes.plot(x, line, "o-", label=name, clip_on=False)
        axes.set_xlim(0, 1.02 * max(x))
        axes.set_xlabel(quantity)
        axes.set_title(title, loc="left", size=12)
        axes.grid(axis="y")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(lines))

    return _picture(SIZE, draw)


def draw_groups(
    title: str, names: Sequence[str], values: Mapping[str, Sequence[float]]
) -> Image.Image:
    """For each name a bar of every source, from 0 to 1, side by side."""

    def draw(figure):
        axes = figure.add_subplot()
        width = 0.8 / len(values)
        for i, (source, heights) in enumerate(values.items()):
            at = np.arange(len(names)) - 0.4 + (i + 0.5) * width
            color = COLORS[i % len(COLORS)]
            hatch = ("", "//", "..")[i // len(COLORS) % 3]
            axes.bar(at, heights, width, label=source, color=color, hatch=hatch, edgecolor="w")
        labels = [_shortened(figure, name, SIZE[0] / 5) for name in names]
        axes.set_xticks(range(len(names)), labels, rotation=90)
        axes.set_xlim(-0.6, len(names) - 0.4)
        axes.set_ylim(0, 1)
        axes.set_title(title, loc="left", size=12)
        axes.grid(axis="y")
        handles, sources = axes.get_legend_handles_labels()
        sources = [_shortened(figure, source, 0.9 * WIDE[0]) for source in sources]
        figure.legend(handles, sources, loc="outside lower left")

    return _picture((WIDE[0], WIDE[1] + 26 * len(values)), draw)


def draw_precision_recall(evaluation: Evaluation, columns: int = 5) -> Image.Image:
    """Precision over recall of every class that has objects, from the best score down.

    Above a panel are the class and its AP by the metric of the evaluation. The shaded area lies
    under the interpolated curve: its size is the AP of VOC 2010 and later.
    """
    panels = [k for k, ap in enumerate(evaluation.ap) if not np.isnan(ap)]
    columns = max(1, min(columns, len(panels)))
    rows = max(1, math.ceil(len(panels) / columns))

    def draw(figure):
        for place, k in enumerate(panels, start=1):
            axes = figure.add_subplot(rows, columns, place)
            _precision_recall(axes, evaluation.precision[k], evaluation.recall[k])
            axes.set_title(f"AP {evaluation.ap[k]:.3f}", loc="right", size=9)
            name = _shortened(figure, evaluation.class_names[k], PANEL / 2)  # beside the AP
            axes.set_title(name, loc="left", size=9)
        if panels:
            figure.supxlabel("recall", size=9)
            figure.supylabel("precision", size=9)

    return _picture((PANEL * columns, PANEL * rows), draw)


def draw_recall(
    title: str,
    sources: Mapping[str, RankedRecall],
    count: int = 300,
    ious: tuple[float, float] = (0.5, 0.7),
) -> Image.Image:
    """What proposals of several sources find (Ren et al. 2015, figure 4), a line for each.

    Two panels have recall over the number of proposals at the IoUs, the third that of the first
    `count` proposals over the IoU; `count` must be among the numbers of every source.
    """
    line = 26  # pixels of the legend

    def draw(figure):
        figure.suptitle(title, x=0.01, ha="left", size=12)
        by_number, also_by_number, by_iou = figure.subplots(1, 3, sharey=True)
        thresholds = np.linspace(0.5, 1, 101)
        for i, (name, found) in enumerate(sources.items()):
            # Solid lines, then dashed ones, where there are more sources than colours.
            style = {"color": COLORS[i % len(COLORS)], "label": name}
            style["linestyle"] = ("-", "--", ":")[i // len(COLORS) % 3]
            for axes, iou in zip((by_number, also_by_number), ious, strict=True):
                axes.plot(found.counts, found.at([iou])[:, 0], **style)
            recall = found.at(thresholds)[found.counts.index(count)]
            by_iou.plot(thresholds, recall, **style)
        for axes, iou in zip((by_number, also_by_number), ious, strict=True):
            numbers = sorted({n for found in sources.values() for n in found.counts})
            axes.set_xscale("log")
            axes.set_xlim(numbers[0], numbers[-1])
            ticks = [t for t in (1, 3, 10, 30, 100, 300, 1000, 2000) if t <= numbers[-1]]
            axes.set_xticks([t for t in ticks if t >= numbers[0]], minor=False)
            axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
            axes.xaxis.set_minor_formatter(lambda *_: "")
            axes.set_xlabel("proposals an image, at most")
            axes.set_title(f"IoU {iou}", loc="left", size=10)
        by_iou.set_xlim(0.5, 1)
        by_iou.set_xlabel("IoU")
        by_iou.set_title(f"{count} proposals", loc="left", size=10)
        by_number.set_ylim(0, 1)
        by_number.set_ylabel("recall")
        for axes in (by_number, also_by_number, by_iou):
            axes.grid()
        handles, names = by_iou.get_legend_handles_labels()
        names = [_shortened(figure, name, 0.9 * WIDE[0]) for name in names]
        figure.legend(handles, names, loc="outside lower left")

    return _picture((WIDE[0], WIDE[1] + line * len(sources)), draw)


def _precision_recall(axes: Axes, precision: np.ndarray, recall: np.ndarray) -> None:
    if len(precision):
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        start = np.concatenate([[0], recall])
        axes.fill_between(start, [*envelope, envelope[-1]], step="post", color=SHADE, linewidth=0)
        axes.plot(start, [precision[0], *precision], clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1), xticks=np.arange(6) / 5, yticks=np.arange(6) / 5)
    axes.tick_params(labelsize=8)
    axes.grid()


def _shortened(figure: Figure, text: str, room: float) -> str:
    """One line with as many of the letters as there is room for, in pixels."""
    text = shown = " ".join(text.split())
    measured = figure.text(0, 0, shown, size=9)
    while measured.get_window_extent().width > room:
        text = text[:-1]
        shown = f"{text}..."
        measured.set_text(shown)
    measured.remove()
    return shown


def _picture(size: tuple[int, int], draw: Callable[[Figure], None]) -> Image.Image:
    """What `draw` draws on a figure of `size` (width, height) pixels."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        # A letter that the font lacks is shown as a box.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        figure = Figure([side / _DPI for side in size], _DPI, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        draw(figure)
        canvas.draw()
        return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
