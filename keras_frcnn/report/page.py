"""The page: one HTML file that needs nothing else, from its sections and its gallery."""

import html
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.errors import KINDS
from keras_frcnn.files import make_folder, replacing
from keras_frcnn.report import compare, sections
from keras_frcnn.report.content import MIN_SCORE, Content
from keras_frcnn.report.gallery import MOST_BOXES, gallery

# Nothing is fetched from anywhere, and nothing but this page's own script runs.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
VERDICTS = ("right", *KINDS)


def write_report(path: str | Path, *contents: Content, images: int = 500) -> None:
    """Write the report of one content, or the comparison of two.

    Args:
        path: the HTML file to write.
        *contents: one or two of `report_content`, of the same images.
        images: how many of the worst the gallery has; 500 thumbnails take about 10 MB.

    Raises:
        InputError: there are not one or two contents, they are of different images, or the file
            cannot be written.
    """
    if len(contents) not in (1, 2):
        raise InputError(f"a report is of one content or compares two, not {len(contents)}")
    compare.check_same_images(contents)
    parts = compare.page_sections(contents) if len(contents) == 2 else _sections(contents[0])
    shown = gallery(contents, images)
    path = Path(path)
    make_folder(path.parent)
    with replacing(path) as partial:
        partial.write_text(_page(contents, parts, shown), "utf-8")


def _sections(content: Content) -> list[str]:
    return [
        sections.tiles(content),
        sections.classes(content),
        sections.errors(content),
        sections.confusion(content),
        sections.recall([content]),
        sections.training([content]),
        sections.timing(content),
        sections.settings(content),
    ]


def _page(contents: Sequence[Content], parts: Sequence[str], shown: list[dict[str, Any]]) -> str:
    title = " and ".join(content.name for content in contents)
    found = "".join(parts)
    links = [
        (name, label)
        for name, label in (
            ("summary", "Comparison"),
            ("classes", "Classes"),
            ("errors", "Errors"),
            ("confusion", "Confusion"),
            ("recall", "Proposals"),
            ("training", "Training"),
            ("timing", "Time"),
            ("settings", "Settings"),
            ("gallery", "Images"),
        )
        if f'<section id="{name}">' in found or name == "gallery"
    ]
    menu = "".join(f'<li><a href="#{name}">{label}</a></li>' for name, label in links)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{html.escape(title)}</title><style>{_file('style.css')}</style></head><body>"
        f"<header><h1>{html.escape(title)}</h1>"
        f"<p>{html.escape(contents[0].dataset.name)}</p>"
        f'<nav aria-label="sections"><ul>{menu}</ul></nav></header>'
        f"<main>{found}{_gallery(contents, shown)}</main>"
        f'<script type="application/json" id="data">{_data(contents, shown)}</script>'
        f"<script>{_file('script.js')}</script></body></html>\n"
    )


def _gallery(contents: Sequence[Content], shown: Sequence[dict[str, Any]]) -> str:
    """The filters and the place of the cards, which the script makes."""
    names = contents[0].dataset.class_names
    choices = "".join(
        f'<option value="{k}">{html.escape(name)}</option>' for k, name in enumerate(names, start=1)
    )
    kinds = "".join(
        f'<label><input type="checkbox" name="kind" value="{kind}" checked>{kind}</label>'
        for kind in VERDICTS
    )
    order = (
        "the worst first: by the scores of wrong detections from "
        f"{MIN_SCORE:g} on, and 1 for each object not found from there on"
        if len(contents) == 1
        else "those first in which the two differ most"
    )
    return sections.section(
        "gallery",
        "Images",
        f"<p>{len(shown)} of {len(contents[0].dataset.images)} images, {order}. Objects are white "
        "and dashed, pink where missed; detections blue where right, orange where wrong; of an "
        f"image the {MOST_BOXES} best. Enter on an image enlarges it; then the arrow keys lead to "
        "the next.</p>",
        '<form id="filters" aria-label="filters">'
        '<label>class <select name="class"><option value="0">all</option>'
        f"{choices}</select></label>"
        '<label>score from <input type="range" name="score" min="0" max="1" step="0.05" '
        f'value="{MIN_SCORE:g}"><output>{MIN_SCORE:.2f}</output></label>'
        f"<fieldset><legend>show</legend>{kinds}</fieldset>"
        '<label>file <input type="search" name="file" placeholder="part of its name"></label>'
        '<button type="reset">all</button><p id="count" role="status"></p></form>'
        '<div id="cards"></div><dialog id="large" aria-label="image"></dialog>'
        "<noscript><p>The images need JavaScript, which runs inside this file only.</p></noscript>",
    )


def _data(contents: Sequence[Content], shown: list[dict[str, Any]]) -> str:
    """The gallery for the script; nothing in it can end the element that it stands in."""
    names = contents[0].dataset.class_names
    content = {
        "classes": ["", *names],
        "runs": [content.name for content in contents],
        "images": shown,
    }
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")


def _file(name: str) -> str:
    return (resources.files("keras_frcnn.report") / name).read_text("utf-8")
