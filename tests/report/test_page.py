"""The report in a browser: it runs, filters, can be used by keyboard, and asks for nothing."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from keras_frcnn.data.dataset import Dataset, ImageRecord, ImageSet
from keras_frcnn.detection.detections import Detections
from keras_frcnn.errors import InputError
from keras_frcnn.report.content import report_content
from keras_frcnn.report.page import write_report

HOSTILE = '</script><img src=x onerror="document.title=1">'
CLASSES = ("cat", HOSTILE, "شجرة")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Six images of 160 x 120 pixels with an object of the first two classes each."""
    folder, records = tmp_path_factory.mktemp("images"), []
    rng = np.random.default_rng(0)
    for i in range(6):
        path = folder / f"{i}.png"
        Image.fromarray(rng.integers(0, 255, (120, 160, 3), dtype=np.uint8)).save(path)
        name = f"{HOSTILE}{i}.png" if i == 5 else f"{i}.png"
        boxes = np.float32([[10, 10, 60, 60], [80, 20, 150, 110]])
        difficult = np.array([False, i == 4])
        records.append(
            ImageRecord(name, str(path), 120, 160, 1, boxes, np.int32([1, 2]), difficult)
        )
    return Dataset("photos & more", CLASSES, tuple(records))


def content(dataset, name, shift=0.0):
    """The first class is found, worse by `shift`; the second in the first image only."""
    detections = [
        Detections([[10 + shift, 10, 60 + shift, 60], *extra], [0.9, *scores], [1, *classes])
        for extra, scores, classes in [
            ([[80, 20, 150, 110]], [0.8], [2]),
            ([[100, 60, 120, 80], [10, 10, 60, 58]], [0.7, 0.6], [1, 2]),
            ([], [], []),
            ([[0, 100, 20, 120]], [0.3], [3]),
            ([[80, 20, 150, 110]], [0.8], [2]),
            ([], [], []),
        ]
    ]
    proposals = [np.float32([[10, 10, 60, 60], [0, 0, 30, 30]])] * 6
    seconds = {"reading": 0.002, "detection": 0.05}
    return report_content(name, ImageSet(dataset, proposals), detections, seconds=seconds)


@pytest.fixture(scope="module")
def one(dataset, tmp_path_factory):
    path = tmp_path_factory.mktemp("reports") / "a report.html"
    write_report(path, content(dataset, "runs/a"))
    return path


@pytest.fixture(scope="module")
def two(dataset, tmp_path_factory):
    path = tmp_path_factory.mktemp("reports") / "two.html"
    write_report(path, content(dataset, "runs/a"), content(dataset, "runs/b", shift=30))
    return path


def test_a_report_is_one_file_that_names_no_other(one):
    text = one.read_text("utf-8")
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert "default-src 'none'" in text
    assert "<img src=x" not in text and text.count("</script>") == 2


def test_contents_that_cannot_be_compared(dataset, tmp_path):
    a = content(dataset, "a")
    fewer = Dataset("d", CLASSES, dataset.images[:3])
    b = report_content("b", ImageSet(fewer), a.detections[:3])
    with pytest.raises(InputError, match="b: was tested on other images than a"):
        write_report(tmp_path / "r.html", a, b)
    with pytest.raises(InputError, match="not 0"):
        write_report(tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_the_gallery_shows_the_worst_images(dataset, tmp_path):
    write_report(tmp_path / "r.html", content(dataset, "a"), images=2)
    text = (tmp_path / "r.html").read_text("utf-8")
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    # The second has two wrong detections and misses an object; then the first of those with 1.
    assert [image["name"] for image in data["images"]] == ["1.png", "2.png"]
    assert data["images"][0]["badness"] == [pytest.approx(0.7 + 0.6 + 1, abs=0.01)]


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium, and the log of its console."""
    programs = [shutil.which("chromium"), shutil.which("chromedriver")]
    if None in programs:
        pytest.skip("needs chromium and chromium-driver, packages of Debian")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(programs[1]))
    yield driver
    driver.quit()


def opened(browser, path, scheme="light", width=1280):
    """Load the page anew, in a colour scheme and width; the logs are empty before."""
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    metrics = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(path.as_uri())
    return browser


def cards(browser):
    """File and summary of each, in one look: the page may make them anew."""
    script = "return [...document.querySelectorAll('.card')].map(e => e.getAttribute('aria-label'))"
    return [label.rsplit(": ", 1) for label in browser.execute_script(script)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["one", "two"])
def test_nothing_fails_and_nothing_is_asked_for(browser, request, which, scheme):
    path = request.getfixturevalue(which)
    opened(browser, path, scheme)
    assert len(cards(browser)) == 6
    assert browser.get_log("browser") == []
    messages = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    sent = [
        m["params"]["request"]["url"]
        for m in messages
        if m["method"] == "Network.requestWillBeSent"
    ]
    assert {url.split(":")[0] for url in sent} <= {"file", "data"}
    assert [url for url in sent if url.startswith("file")] == [path.as_uri()]


def test_hostile_names_are_text(browser, one):
    opened(browser, one)
    assert browser.title == "runs/a"
    assert HOSTILE in browser.find_element("css selector", "#classes").text
    assert any(HOSTILE in name for name, _ in cards(browser))
    assert not browser.find_elements("css selector", "img[src=x]")


def choose(browser, script):
    browser.execute_script(
        f"{script}; document.getElementById('filters').dispatchEvent(new Event('input'))"
    )


def test_filters_filter(browser, one):
    from selenium.webdriver.support.wait import WebDriverWait

    opened(browser, one)
    form = "document.getElementById('filters')"
    assert cards(browser)[0] == ["1.png", "1 right, 2 wrong, 1 missed"]
    choose(browser, f"{form}.class.value = '2'")
    # The fifth's object of the class is difficult, and found; in the first it is right.
    assert sorted(cards(browser))[:3] == [
        ["0.png", "1 right, 0 wrong, 0 missed"],
        ["1.png", "0 right, 1 wrong, 1 missed"],
        ["2.png", "0 right, 0 wrong, 1 missed"],
    ]
    choose(browser, f"{form}.score.value = '0.65'")
    assert ["1.png", "0 right, 0 wrong, 1 missed"] in cards(browser)
    choose(browser, f"for (const box of {form}.kind) box.checked = box.value === 'background'")
    assert cards(browser) == []
    choose(browser, f"{form}.class.value = '0'")
    assert cards(browser) == [["1.png", "0 right, 1 wrong, 0 missed"]]
    boxes = browser.find_elements("css selector", ".card .found")
    assert len(boxes) == 1 and boxes[0].get_attribute("x") == "100"
    browser.find_element("css selector", "#filters button").click()
    WebDriverWait(browser, 5).until(lambda _: len(cards(browser)) == 6)  # the reset comes later
    choose(browser, f"{form}.file.value = '4.PNG'")
    assert [name for name, _ in cards(browser)] == ["4.png"]


def test_the_keyboard_suffices(browser, one):
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.wait import WebDriverWait

    opened(browser, one)

    def press(key):
        browser.switch_to.active_element.send_keys(key)

    def title():
        return browser.find_element("css selector", "dialog strong").text

    browser.execute_script("document.querySelector('.card').focus()")
    press(Keys.ENTER)
    assert title() == "1.png"
    lines = [item.text for item in browser.find_elements("css selector", "dialog li")]
    assert lines[0] == "cat 0.90: right" and f"{HOSTILE}: missed" in lines
    press(Keys.ARROW_RIGHT)
    press(Keys.ARROW_RIGHT)
    press(Keys.ARROW_LEFT)
    assert title() == "2.png"
    press(Keys.ESCAPE)
    assert not browser.find_elements("css selector", "dialog[open]")
    WebDriverWait(browser, 5).until(  # the event of closing comes later
        lambda _: browser.switch_to.active_element.get_attribute("aria-label").startswith("2.png")
    )


@pytest.mark.parametrize("which", ["one", "two"])
def test_a_phone_needs_no_scrolling_aside(browser, request, which):
    opened(browser, request.getfixturevalue(which), width=360)
    widths = "return [document.documentElement.scrollWidth, innerWidth]"
    assert browser.execute_script(widths) == [360, 360]
    assert len(cards(browser)) == 6


def luminance(colour):
    channels = [int(c) / 255 for c in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser, one, scheme):
    """At least 4.5 to 1 (WCAG 2.2, 1.4.3)."""
    opened(browser, one, scheme)
    script = (
        "const s = getComputedStyle(document.querySelector(arguments[0])); return s[arguments[1]]"
    )
    ground = luminance(browser.execute_script(script, "section", "backgroundColor"))
    assert (ground < 0.1) == (scheme == "dark")
    for selector, name in (
        ("section h2", "color"),
        ("section > p", "color"),
        ("thead th", "color"),
        (".chart text", "fill"),
        ("nav a", "color"),
    ):
        ink = luminance(browser.execute_script(script, selector, name))
        light, dark = max(ink, ground), min(ink, ground)
        assert (light + 0.05) / (dark + 0.05) > 4.5, (selector, scheme)


def test_a_comparison_shows_both(browser, two):
    opened(browser, two)
    assert browser.title == "runs/a and runs/b"
    summary = browser.find_element("css selector", "#summary").text
    assert "runs/a" in summary and "difference" in summary
    first = browser.find_element("css selector", ".card")
    assert len(first.find_elements("css selector", ".picture")) == 2
    assert "|" in first.get_attribute("aria-label")
