"""Take the README's walk from the app as a first visitor sees it, recorded results and all: `python assets/pictures/take.py`.

Starts the app on an empty cache, goes from page to page, and ends it again.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
WALK = {
    "alignment": "alignment?tl=5&sl=2",
    "latent_map": "latent_map?n=512",
    "families": "families?n=512",
    "factors": "factors?n=512",
    "transfer": "transfer?drawn=3:1,5:2",
    "behaviour": "behaviour?run=demo-semalign-v1",
    "tokens": "tokens?run=demo-semalign-v1",
}
"""Picture -> link; any word in the link keeps the tour from being offered."""
SETTLED = "!document.querySelector('[data-testid=stStatusWidget], [data-stale=true], [data-testid=stMain] [data-testid=stProgress]')"


def serve(cache: str) -> tuple[subprocess.Popen[bytes], str]:
    """The app on a port of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "dashboard/app.py", "--server.port", str(port), "--server.headless", "true"]  # fmt: skip
    process = subprocess.Popen(command, cwd=HERE.parents[1], env={**os.environ, "PKT_CACHE": cache})
    address = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).close()
            break
        except OSError:
            time.sleep(0.2)
    return process, address


def main() -> None:
    with tempfile.TemporaryDirectory() as cache, sync_playwright() as playwright:
        process, address = serve(cache)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            page = browser.new_page(
                viewport={"width": 1280, "height": 900}, device_scale_factor=1, color_scheme="light"
            )
            for name, link in WALK.items():
                page.goto(f"{address}/{link}")
                page.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=180_000)
                page.wait_for_function(SETTLED, timeout=180_000)
                page.wait_for_timeout(2000)  # fonts and fade-in
                page.screenshot(path=HERE / f"{name}.png")
        finally:
            browser.close()
            process.terminate()
            process.wait(20)


if __name__ == "__main__":
    main()
