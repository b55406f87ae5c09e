"""Takes the pictures of the page in docs/images: python docs/page_screenshots.py URL.

URL: of a `finesight serve` over data/sample. Needs the extra `dev` and chromium.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).parent / "images"


def main() -> None:
    """Take all pictures."""
    url = sys.argv[1]
    with sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for name, width, height, scheme in (
            ("page", 1360, 860, "light"),
            ("page_dark", 1360, 860, "dark"),
            ("page_phone", 390, 780, "light"),
        ):
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            page = context.new_page()
            page.goto(f"{url}?q=red+mug")
            settled(page)
            save(page, name)
            if name == "page":
                region(page)
                page.click("#bubble .primary")
                page.click("#clear")
                page.fill("#text", "green car")
                settled(page)
                page.locator(".shot").first.click()
                page.wait_for_timeout(800)
                save(page, "page_large")
            context.close()
        browser.close()


def settled(page: Page) -> None:
    """Wait until hits and their pictures are there."""
    page.wait_for_selector(".inset img")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(600)


def region(page: Page) -> None:
    """Draw a box on the second hit."""
    place = page.locator(".frame").nth(1).bounding_box()
    assert place is not None
    x, y, side = place["x"], place["y"], place["width"]
    page.mouse.move(x + side * 0.05, y + side * 0.02)
    page.mouse.down()
    page.mouse.move(x + side * 0.4, y + side * 0.3, steps=6)
    page.mouse.up()
    page.wait_for_timeout(300)
    save(page, "page_region")


def save(page: Page, name: str) -> None:
    """Save what is seen as a small JPEG file."""
    page.screenshot(path=IMAGES / f"{name}.jpg", type="jpeg", quality=82)


if __name__ == "__main__":
    main()
