"""The page in a real browser: offline, by keyboard, on a telephone, on paper and without colours."""

import os
import shutil
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from made_rasters import write_class_map
from PIL import Image
from playwright.sync_api import expect, sync_playwright

from m3fusion_sk import land_cover_report
from m3fusion_sk.calibration import calibration_scores

HOSTILE = '"><img src=x onerror="alert(1)"><script>alert(2)</script>'
RED, BLUE, GREY = (200, 0, 0), (0, 0, 255), (98, 98, 98)  # red and grey are of one lightness
CLASSES = ["forest", "water", "rocks"]


@pytest.fixture(scope="module")
def browser():
    """Chromium from the system; `.ci/run` says where it is, so that there nothing is skipped."""
    path = os.environ.get("M3FUSION_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """A page with all sections: one map is red but for a grey corner, the other blue."""
    folder = tmp_path_factory.mktemp("page")
    names, colors = dict(enumerate(CLASSES, start=1)), {1: RED, 2: BLUE, 3: GREY}
    codes = np.ones((40, 60), np.uint8)
    codes[:20, :30] = 3
    first = write_class_map(folder / "first.tif", codes, names, colors)
    second = write_class_map(folder / "second.tif", np.full((40, 60), 2), names, colors)
    rng = np.random.default_rng(0)
    objects = np.arange(300) // 5
    y = np.array(CLASSES)[objects % 3]
    predictions = {
        name: np.where(rng.random(300) < wrong, "water", y) for name, wrong in (("net", 0.1), ("rf", 0.4))
    }
    proba = rng.dirichlet([1, 1, 1], 300)
    dates = pd.DataFrame(rng.dirichlet(np.ones(34), 3), CLASSES, pd.Index(range(34), name="date"))
    falls = pd.DataFrame({"importance": [0.1, 0.3], "std": 0.01}, pd.Index(["ts", "patch"], name="source"))
    return land_cover_report(
        folder / "report.html",
        y,
        predictions,
        groups=objects,
        maps={"net": first, "rf": second},
        attention={"ts": dates},
        importance=falls,
        calibration={"net": calibration_scores(y, proba, sorted(CLASSES))},
        description="Two maps.",
    )


@pytest.fixture
def opened(browser):
    """Open a file without network; whatever the console says, or is asked for, is a failure."""
    contexts, said = [], []

    def open_page(path, width=1280, height=900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        address = f"file://{path}"
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: said.append(request.url) if request.url[:5] != "data:" else None)
        page.goto(address)
        assert said.pop(0) == address
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


def picture_of(page, selector=None):
    taken = page.locator(selector).screenshot() if selector else page.screenshot(full_page=True)
    return Image.open(BytesIO(taken)).convert("RGB")


def colors_at(page, places, selector=".frame"):
    """Colours seen in an element, at (x, y) as shares of its width and height."""
    picture = picture_of(page, selector)
    return [picture.getpixel((int(x * picture.width), int(y * picture.height))) for x, y in places]


def luminance(rgb):
    parts = np.array(rgb[:3]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [
        0.2126,
        0.7152,
        0.0722,
    ]


def contrast(first, second):
    """The contrast ratio of WCAG 2, from 1 to 21."""
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def without_colours(page):
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setEmulatedVisionDeficiency", {"type": "achromatopsia"})
    return page


SEEN = [(0.1, 0.75), (0.35, 0.75), (0.65, 0.75), (0.9, 0.75)]  # away from corner, names, numbers and the cut


def test_it_opens_offline_in_silence(opened, page_file):
    page = opened(page_file)
    assert page.title() == "Land cover map"
    titles = page.locator("h2").all_text_contents()
    assert titles == ["Maps", "Scores", "Classes", "Confusion", "Attention by date", "Importance",
                      "Calibration", "Areas", "How it was made"]  # fmt: skip
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    for link in page.locator("nav a").all():
        assert page.locator(link.get_attribute("href")).count() == 1


def test_the_slider_moves_what_is_seen_by_keyboard(opened, page_file):
    page = opened(page_file)
    assert colors_at(page, SEEN) == [RED, RED, BLUE, BLUE]
    page.locator(".slider input").focus()
    page.keyboard.press("End")
    assert colors_at(page, SEEN) == [RED] * 4
    page.keyboard.press("Home")
    assert colors_at(page, SEEN) == [BLUE] * 4
    for _ in range(3):
        page.keyboard.press("PageUp")
    value = int(page.locator(".slider input").input_value())
    assert (
        20 <= value < 35 and page.locator(".slider input").get_attribute("aria-valuetext") == f"{value} % net"
    )
    assert colors_at(page, SEEN) == [RED, BLUE, BLUE, BLUE]


def test_the_map_is_dragged_too_and_tells_its_classes(opened, page_file):
    page = opened(page_file)
    box = page.locator(".frame").bounding_box()
    x, y = (lambda share: box["x"] + share * box["width"]), box["y"] + box["height"] * 0.75
    page.mouse.move(x(0.5), y)
    page.mouse.down()
    page.mouse.move(x(0.8), y, steps=4)
    page.mouse.up()
    page.mouse.move(x(0.2), y)  # no longer dragged
    assert page.locator(".slider input").input_value() == "80"
    assert colors_at(page, SEEN) == [RED, RED, RED, BLUE]
    expect(page.locator(".readout")).to_have_text("net: forest | rf: water")
    page.mouse.move(x(0.2), box["y"] + box["height"] * 0.3)
    expect(page.locator(".readout")).to_have_text("net: rocks | rf: water")


def test_tables_sort_by_their_numbers_and_back(opened, page_file):
    page = opened(page_file)
    table = page.locator("#classes table")

    def column(i):
        return [
            float(text.split()[0])
            for text in table.locator(f"tbody tr td:nth-child({i + 1})").all_inner_texts()
        ]

    as_written = column(2)
    button = table.locator("thead button").nth(2)
    button.click()
    assert column(2) == sorted(as_written, reverse=True)
    assert table.locator("thead th").nth(2).get_attribute("aria-sort") == "descending"
    button.press("Enter")
    assert column(2) == sorted(as_written)
    table.locator("thead button").first.click()
    names = table.locator("tbody th").all_inner_texts()
    assert names == sorted(CLASSES) and page.locator("[aria-sort]").count() == 1
    for other in page.locator("table.sortable").all():  # also those whose cells are words or dashes
        for head in other.locator("thead button").all():
            head.click()


@pytest.mark.parametrize("width", [320, 400, 768, 1280])
def test_no_width_makes_the_page_scroll_sideways(opened, page_file, width):
    page = opened(page_file, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    inside = page.evaluate(
        """[...document.querySelectorAll("h1, h2, p, dd, figcaption, .frame, .slider, .legend, .scroll, svg")]
        .filter(e => e.offsetParent !== null || e.tagName === "svg")
        .every(e => e.getBoundingClientRect().right <= innerWidth + 0.5)"""
    )
    assert inside


def test_on_a_telephone_words_are_large_enough_and_tables_scroll_alone(opened, page_file):
    page = opened(page_file, width=400, height=800, has_touch=True)
    sizes = page.evaluate(
        """[...document.querySelectorAll("body *")]
        .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
        .filter(e => !["SCRIPT", "STYLE"].includes(e.tagName) && !e.closest("svg"))
        .map(e => parseFloat(getComputedStyle(e).fontSize))"""
    )
    assert min(sizes) >= 11
    words = "[...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height)"
    assert min(page.evaluate(words)) >= 9
    scroll = page.locator("#classes .scroll")
    assert scroll.evaluate("e => e.scrollWidth > e.clientWidth")
    scroll.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(500)
    assert scroll.evaluate("e => e.scrollLeft") > 0
    name = page.locator("#classes tbody th").first.bounding_box()
    assert name["x"] >= 0  # names stay beside what they name


def test_on_paper_both_maps_are_whole_side_by_side_and_nothing_is_cut_off(opened, page_file, tmp_path):
    page = opened(page_file, width=680)  # A4 less its margins at 96 pixels an inch
    page.emulate_media(media="print")
    for control in (".slider", ".readout", ".tools", "nav"):
        assert not page.locator(control).is_visible()
    boxes = [layer.bounding_box() for layer in page.locator(".layer").all()]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"] and boxes[0]["y"] == boxes[1]["y"]
    for k, expected in ((1, RED), (2, BLUE)):
        assert set(colors_at(page, SEEN, f".layer:nth-child({k})")) == {expected}
    wide = page.evaluate(
        """[...document.querySelectorAll("table")]
        .filter(t => t.getBoundingClientRect().right > innerWidth + 1)
        .map(t => t.closest("figure").querySelector("strong").textContent)"""
    )
    assert wide == []
    assert page.pdf(format="A4")[:4] == b"%PDF"


def test_where_scripts_are_forbidden_both_maps_stand_side_by_side(opened, page_file):
    page = opened(page_file, java_script_enabled=False)
    assert not page.locator(".slider").is_visible() and not page.locator(".readout").is_visible()
    for k, expected in ((1, RED), (2, BLUE)):
        assert set(colors_at(page, SEEN, f".layer:nth-child({k})")) == {expected}


def test_without_colours_numbers_and_the_legend_tell_classes_apart(opened, page_file):
    page = without_colours(opened(page_file))
    page.locator(".slider input").focus()
    page.keyboard.press("End")
    rocks, forest = colors_at(page, [(0.1, 0.3), (0.1, 0.75)])
    assert contrast(rocks, forest) < 1.1  # else this test could not fail
    numbers = page.locator(".legend b").all_inner_texts()
    assert numbers == ["1", "2", "3"] and page.locator(".legend span").all_inner_texts() == CLASSES
    tags = page.locator(".layer:first-child .tags b")
    assert {tag.inner_text() for tag in tags.all()} == {"1", "3"} and tags.first.is_visible()
    page.locator(".legend button").nth(2).click()
    page.wait_for_timeout(100)
    rocks, forest = colors_at(page, [(0.1, 0.3), (0.1, 0.75)])
    assert contrast(rocks, forest) > 7
    page.locator(".legend button").nth(2).click()
    page.wait_for_timeout(100)
    assert contrast(*colors_at(page, [(0.1, 0.3), (0.1, 0.75)])) < 1.1
    page.locator(".numbers").uncheck()
    assert not tags.first.is_visible()


def test_without_colours_the_cut_is_seen_and_darker_means_more(opened, page_file):
    page = without_colours(opened(page_file))
    strip = picture_of(page, ".frame")
    middle = [strip.getpixel((strip.width // 2 + dx, int(0.75 * strip.height))) for dx in range(-4, 5)]
    assert max(map(luminance, middle)) > 0.9 and min(map(luminance, middle)) < 0.1
    shown = picture_of(page)
    row = page.locator("#attention tbody tr").first.locator("td")
    corners = "cells => cells.map(c => c.getBoundingClientRect()).map(box => [box.x, box.y])"
    places = [place for place in row.evaluate_all(corners) if place[0] < 1250]
    values = [float(cell.get_attribute("data-value")) for cell in row.all()][: len(places)]
    lightness = [luminance(shown.getpixel((int(x) + 3, int(y) + 3))) for x, y in places]
    assert len(places) > 20 and (np.diff(np.array(lightness)[np.argsort(values)]) <= 1e-3).all()


def test_all_words_stand_out_from_what_is_behind_them(opened, page_file):
    page = opened(page_file)
    pairs = page.evaluate(
        """() => {
          const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
          const rgb = color => {
            canvas.clearRect(0, 0, 1, 1);
            canvas.fillStyle = color;
            canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data];
          };
          const behind = element => {
            for (let e = element; e; e = e.parentElement) {
              const color = rgb(getComputedStyle(e).backgroundColor);
              if (color[3] > 200) return color;
            }
            return [255, 255, 255, 255];
          };
          return [...document.querySelectorAll("body *")]
            .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
            .filter(e => !["SCRIPT", "STYLE"].includes(e.tagName) && !e.closest("svg"))
            .map(e => [e.textContent.trim().slice(0, 30), rgb(getComputedStyle(e).color), behind(e)]);
        }"""
    )
    assert len(pairs) > 200
    weak = [(text, contrast(ink, paper)) for text, ink, paper in pairs if contrast(ink, paper) < 4.5]
    assert weak == []
    bar = page.locator("td.bar").first.evaluate("e => getComputedStyle(e).backgroundImage")
    assert "rgb(207, 227, 241)" in bar and contrast((26, 26, 26), (207, 227, 241)) > 4.5


def test_what_a_screen_reader_needs_is_there(opened, page_file):
    page = opened(page_file)
    assert page.locator("html").get_attribute("lang") == "en"
    assert [image.get_attribute("alt") for image in page.locator("img").all()] == [
        "Land cover map: net",
        "Land cover map: rf",
    ]
    assert page.get_by_role("slider", name="Share of the map net").count() == 1
    assert page.get_by_role("checkbox", name="numbers of the classes on the map").count() == 1
    assert page.get_by_role("img", name="Accuracy of the samples of each confidence").count() == 1
    assert all(figure.locator("figcaption").count() for figure in page.locator("figure").all())
    assert page.locator("th:not([scope])").count() == 0
    assert (
        page.locator("main section").count()
        == page.get_by_role("region").filter(has=page.locator("h2")).count()
    )


def test_hostile_and_many_names_are_words_only(opened, tmp_path):
    names = {k: f"{HOSTILE} {k}" if k % 2 else f"Höhenrücken-{'sehr' * 12}lang {k}" for k in range(1, 41)}
    colors = {k: (5 * k, 250 - 5 * k, 100) for k in names}
    codes = np.arange(1, 41).reshape(5, 8).repeat(12, axis=0).repeat(12, axis=1)
    path = write_class_map(tmp_path / "map.tif", codes, names, colors)
    y = np.array([names[k] for k in codes.ravel()])[::7]
    objects = np.arange(len(y)) // 3
    file = land_cover_report(
        tmp_path / "r.html",
        y,
        {HOSTILE: y, "rf": np.roll(y, 50)},
        groups=objects,
        maps={HOSTILE: path, "rf": path},
        title=HOSTILE,
    )
    page = opened(file, width=400, height=800)
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    assert page.locator("h1").inner_text() == HOSTILE
    assert page.locator(".legend span").all_inner_texts() == list(names.values())
    page.locator(".legend button").first.click()
    page.locator("#classes thead button").first.click()
    page.locator(".frame").hover()
    expect(page.locator(".readout")).to_contain_text("onerror")
    assert page.locator("img[src=x]").count() == 0
    page.set_viewport_size({"width": 680, "height": 900})
    page.emulate_media(media="print")
    assert page.locator("#confusion table").first.evaluate("t => t.getBoundingClientRect().right") <= 681
