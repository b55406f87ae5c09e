"""The page, in a browser: what a person types, sees, draws and filters."""

import os
import re
import shutil
from dataclasses import replace

import pytest
from conftest import COLORS
from item_heads import color_items
from PIL import Image

from finesight.indexing.progress import PROGRESS
from finesight.server.page import FOLDER
from finesight.server.settings import Settings

from .conftest import serving

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("chromium is not installed: apt-get install chromium", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

TOKEN = "a-token-of-enough-letters"
expect = playwright.expect


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    """A page that fails the test where its scripts or its content policy complain."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    opened = context.new_page()
    opened.set_default_timeout(15_000)
    complaints = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on(
        "console",
        lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None,
    )
    opened.complaints = complaints
    yield opened
    context.close()
    # The server ends before the page does, which may still ask for a picture.
    assert [said for said in complaints if "CONNECTION_REFUSED" not in said] == []


def cards(page):
    return page.locator("#results > .card:not(.skeleton)")


def names(page):
    return cards(page).locator(".name").all_inner_texts()


def search(page, text):
    with page.expect_response("**/search"):
        page.fill("#text", text)


def serious(page):
    """Return what axe finds that keeps people from using the page."""
    found = axe.Axe().run(page).response["violations"]
    return [
        (each["id"], [node["html"] for node in each["nodes"]])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


def drag(page, frame, box):
    """Draw a box (x0, y0, x1, y1 in shares) on a picture with the mouse."""
    place = frame.bounding_box()
    points = [
        (place["x"] + x * place["width"], place["y"] + y * place["height"])
        for x, y in (box[:2], box[2:])
    ]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=4)
    page.mouse.up()


def test_a_query_its_boxes_a_region_and_a_filter(page, served):
    page.goto(served.url)
    expect(cards(page)).to_have_count(6)
    expect(page.locator("#intro h2")).to_have_text("6 images")

    # A query is answered while it is typed, each hit with its best region and that one enlarged.
    search(page, "red")
    first = cards(page).first
    expect(first.locator(".rank")).to_have_text("1")
    assert "red" in names(page)[0]
    small = cards(page).filter(has_text=re.compile(r"red\.png")).first
    expect(small.locator(".region")).to_be_visible()
    expect(small.locator(".inset img")).to_be_visible()
    region, frame = (small.locator(name).bounding_box() for name in (".region", ".frame"))
    spot = (frame["x"] + frame["width"] * 132 / 200, frame["y"] + frame["height"] * 112 / 160)
    assert region["x"] <= spot[0] <= region["x"] + region["width"]
    assert region["y"] <= spot[1] <= region["y"] + region["height"]

    # A box drawn on a picture is the next question.
    page.click("#clear")
    expect(page.locator("#intro h2")).to_have_text("6 images")
    green = cards(page).filter(has_text="green.png")
    drag(page, green.locator(".frame"), (0.6, 0.62, 0.72, 0.78))
    expect(page.locator("#bubble")).to_be_visible()
    with page.expect_response("**/search") as answered:
        page.click("#bubble .primary")
    assert answered.value.status == 200
    expect(page.locator(".chip")).to_have_count(1)
    expect(cards(page).first).to_contain_text("green")
    assert "part=1%3Bimage" in page.url

    # A filter narrows the answer.
    page.click("#filter-button")
    with page.expect_response("**/search"):
        page.select_option("[name=folder]", "large")
    expect(cards(page)).to_have_count(3)
    expect(page.locator("#filter-label")).to_have_text("Filter · 1")
    expect(cards(page).first).to_contain_text("green")

    # The address is the search.
    page.reload()
    expect(cards(page)).to_have_count(3)
    expect(cards(page).first).to_contain_text("green")


def test_the_slider_goes_to_the_whole_image_and_back(page, served):
    page.goto(f"{served.url}/?q=red")
    expect(page.locator(".region").first).to_be_visible()
    with page.expect_response("**/search") as answered:
        page.locator("#detail").fill("0")
    assert answered.value.request.post_data_json["detail"] == 0
    expect(page.locator(".region")).to_have_count(0)
    with page.expect_response("**/search"):
        page.locator("#detail").press("End")
    expect(page.locator(".region").first).to_be_visible()


def test_negatives_typed_and_added(page, served):
    page.goto(served.url)
    with page.expect_response("**/search") as answered:
        page.fill("#text", "t-shirt red - blue")
    parts = answered.value.request.post_data_json["parts"]
    assert parts == [{"text": "t-shirt red", "weight": 1}, {"text": "blue", "weight": -1}]
    page.fill("#without", "green")
    with page.expect_response("**/search") as answered:
        page.press("#without", "Enter")
    assert answered.value.request.post_data_json["parts"][-1] == {"text": "green", "weight": -1}
    with page.expect_response("**/search") as answered:
        page.click(".chip .sign")
    assert answered.value.request.post_data_json["parts"][-1] == {"text": "green", "weight": 1}
    page.click(".chip .remove")
    expect(page.locator(".chip")).to_have_count(0)


def test_a_dropped_picture_is_searched_with(page, served, tmp_path):
    Image.new("RGB", (3000, 2000), COLORS["blue"]).save(tmp_path / "blue thing.png")
    page.goto(served.url)
    with page.expect_response("**/search") as answered:
        page.set_input_files("#file", tmp_path / "blue thing.png")
    assert answered.value.status == 200
    assert answered.value.request.headers["content-type"].startswith("multipart/form-data")
    expect(page.locator(".chip img")).to_be_visible()
    expect(cards(page).first).to_contain_text("blue")


def test_with_keys_alone(page, served):
    page.goto(served.url)
    expect(cards(page)).to_have_count(6)
    page.locator("body").click(position={"x": 2, "y": 790})
    page.keyboard.press("/")
    expect(page.locator("#text")).to_be_focused()
    with page.expect_response("**/search"):
        page.keyboard.type("green")
    expect(cards(page).first).to_contain_text("green")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(cards(page).nth(1).locator(".shot")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#viewer")).to_be_visible()
    expect(page.locator("#place")).to_have_text("2 of 6")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#place")).to_have_text("1 of 6")
    page.keyboard.press("r")
    expect(page.locator(".mark")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    with page.expect_response("**/search") as answered:
        page.keyboard.press("Enter")
    part = answered.value.request.post_data_json["parts"][-1]
    assert len(part["box"]) == 4
    expect(page.locator("#viewer")).to_be_hidden()


def test_the_large_view_says_why_and_searches_on(page, served):
    page.goto(f"{served.url}/?q=red")
    cards(page).filter(has_text="red.png").first.locator(".shot").click()
    expect(page.locator("#facts")).to_contain_text("small/red.png")
    expect(page.locator("#facts")).to_contain_text("of the image")
    drag(page, page.locator("#stage .frame"), (0.2, 0.2, 0.5, 0.5))
    expect(page.locator("#bubble")).to_be_visible()
    with page.expect_response("**/search") as answered:
        page.click("#bubble [data-sign='-1']")
    part = answered.value.request.post_data_json["parts"][-1]
    assert part["weight"] == -1
    assert part["box"] == pytest.approx([0.2, 0.2, 0.5, 0.5], abs=0.02)


def test_a_model_without_items_offers_none(page, served):
    page.goto(served.url)
    drag(page, cards(page).first.locator(".frame"), (0.6, 0.62, 0.72, 0.78))
    expect(page.locator("#bubble .primary")).to_be_visible()
    expect(page.locator("#very")).to_be_hidden()


class TestItems:
    """Where the model tells one thing from others of its kind."""

    @pytest.fixture
    def color_model(self, color_model, tmp_path):
        return replace(color_model, item_head=color_items(tmp_path / "bundle"))

    def test_a_marked_part_is_searched_for_as_this_very_thing(self, page, served):
        served.search(text="red")  # the model is loaded
        page.goto(served.url)
        red = cards(page).filter(has_text="red.png")
        drag(page, red.locator(".frame"), (0.6, 0.62, 0.72, 0.78))
        expect(page.locator("#very")).to_be_visible()
        assert serious(page) == []
        with page.expect_response("**/search") as answered:
            page.click("#very")
        asked = answered.value.request.post_data_json
        assert asked["item"] is True and len(asked["parts"]) == 1 and answered.value.status == 200
        expect(cards(page).first).to_contain_text("red")
        expect(page.locator("#detail")).to_be_disabled()
        assert "item=1" in page.url

        # The address is the search; the label of the part takes it back.
        page.reload()
        very = page.locator(".chip .very")
        expect(very).to_have_attribute("aria-pressed", "true")
        assert serious(page) == []
        with page.expect_response("**/search") as answered:
            very.click()
        assert "item" not in answered.value.request.post_data_json
        expect(very).to_have_attribute("aria-pressed", "false")

        # With a text beside it, it is a query of several parts.
        with page.expect_response("**/search"):
            very.click()
        with page.expect_response("**/search") as answered:
            page.fill("#text", "blue")
        assert "item" not in answered.value.request.post_data_json
        expect(very).to_have_count(0)

    def test_a_dropped_picture_is_this_very_thing(self, page, served, tmp_path):
        Image.new("RGB", (90, 60), COLORS["green"]).save(tmp_path / "green thing.png")
        served.search(text="red")
        page.goto(served.url)
        with page.expect_response("**/search"):
            page.set_input_files("#file", tmp_path / "green thing.png")
        with page.expect_response("**/search") as answered:
            page.click(".chip .very")
        assert answered.value.status == 200
        assert "item=1" in page.url
        expect(page.locator(".chip .very")).to_have_attribute("aria-pressed", "true")
        expect(cards(page).first).to_contain_text("green")


def test_nothing_found_nothing_there_and_no_server(page, served, tmp_path):
    page.goto(f"{served.url}/?path=nowhere")
    expect(page.locator("#intro h2")).to_have_text("No image passes these filters")
    page.click("#intro button")
    expect(cards(page)).to_have_count(6)
    page.route("**/search", lambda route: route.abort())
    page.fill("#text", "red")
    expect(page.locator("#message")).to_contain_text("does not answer")
    page.unroute("**/search")
    page.click("#message button")
    expect(page.locator("#message")).to_be_hidden()
    page.complaints[:] = [said for said in page.complaints if "ERR_FAILED" not in said]
    with serving(Settings(collections=(tmp_path / "new",))) as empty:
        page.goto(empty.url)
        expect(page.locator("#intro h2")).to_have_text("Nothing is here yet")
        expect(page.locator("#intro pre")).to_contain_text("finesight index")


def test_indexing_is_followed(page, served, collection):
    (collection.directory / PROGRESS).write_text('{"done": 30, "total": 120}')
    page.goto(served.url)
    expect(page.locator("#indexing-text")).to_have_text("Indexing: 30 of 120 images")
    (collection.directory / PROGRESS).unlink()
    expect(page.locator("#indexing")).to_be_hidden()


def test_the_token_is_asked_for_once(page, collection):
    with serving(Settings(collections=(collection.directory,), token=TOKEN)) as served:
        page.goto(served.url)
        expect(page.locator("#door")).to_be_visible()
        page.fill("#token", "wrong")
        page.click("#door button")
        expect(page.locator("#door-wrong")).to_contain_text("not the token")
        page.context.clear_cookies()
        page.goto("about:blank")
        page.goto(f"{served.url}/#token={TOKEN}")
        expect(cards(page)).to_have_count(6)
        assert TOKEN not in page.url
        page.reload()
        expect(cards(page)).to_have_count(6)
        page.complaints[:] = [said for said in page.complaints if "401" not in said]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_it_can_be_used_by_everyone(page, served, scheme, width):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(served.url)
    expect(cards(page)).to_have_count(6)
    assert serious(page) == []
    search(page, "red - blue")
    page.click("#filter-button")
    expect(page.locator(".region").first).to_be_visible()
    assert serious(page) == []
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) <= 0
    cards(page).first.locator(".shot").click()
    expect(page.locator("#viewer")).to_be_visible()
    assert serious(page) == []
    page.keyboard.press("Escape")
    page.locator("#results").focus()
    page.keyboard.press("?")
    expect(page.locator("#help-sheet")).to_be_visible()
    assert serious(page) == []


def test_no_other_host_is_asked(page, served):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{served.url}/?q=red")
    expect(page.locator(".inset img").first).to_be_visible()
    assert all(url.startswith((served.url, "blob:")) for url in asked)


def test_the_files_are_few_and_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 100_000
