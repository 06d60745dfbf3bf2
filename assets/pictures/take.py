"""Take the README's picture from the running app: `python assets/pictures/take.py http://127.0.0.1:8501`."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright


def main(address: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900}, device_scale_factor=1)
        page.goto(f"{address}/alignment?tl=5&sl=2")
        page.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=60_000)
        page.wait_for_timeout(2000)  # fonts and fade-in
        page.screenshot(path=Path(__file__).parent / "alignment.png")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
