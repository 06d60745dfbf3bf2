"""A visitor who clicks through the tour and the pages at random moments while the app computes: does the page ever go blank?

Run by hand against a server of its own with an empty cache, both cores kept busy: `python -m tests.faults.screen 100`.
"""

from __future__ import annotations

import multiprocessing
import queue
import random
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.serving import CHROMIUM, FLAGS, ROOT, served

PAGES = (
    "Pair",
    "Alignment",
    "Latent map",
    "Alignment maps",
    "Inspector",
    "Transfer",
    "Families",
    "Factors",
    "Behaviour",
    "Tokens",
    "Benchmarks",
    "Runs",
)
BLANK = """() => !document.querySelector('[data-testid=stApp]')
  || !document.querySelector('[data-testid=stMain] h1') || !document.querySelector('[data-testid=stSidebar] input')"""
PATIENCE = 60_000
ROUND = 25  # clicks of one visitor, who then gives way to the next


def wander(n_steps: int, seed: int, base_url: str) -> int:
    """How many pages stayed blank over `n_steps` clicks in the tour and as many on the names of pages, at random moments.

    The address serves the app. Now and then the seed of the drawn prompts is changed, so that the app has something to compute.
    A page is blank when its title, or the bar at the left, is not there a minute after a click.
    """
    from playwright.sync_api import sync_playwright

    chance, blank, left = random.Random(seed), 0, {"tour": n_steps, "page": n_steps}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        while any(left.values()):
            context = browser.new_context(viewport={"width": 1280, "height": 1000})
            page = context.new_page()
            page.on("pageerror", lambda error: print(f"  error on the page: {error}", file=sys.stderr))
            blank += round_of(page, base_url, chance, left)
            context.close()
        browser.close()
    return blank


def round_of(page: Any, base_url: str, chance: random.Random, left: dict[str, int]) -> int:
    """One visitor's clicks, taken off what is left; 1 where they end on a blank page."""
    page.goto(base_url)
    page.get_by_role("button", name="Take the tour").click(timeout=PATIENCE)
    something_to_compute(page, chance)
    for _ in range(ROUND):
        kind = chance.choice([kind for kind, n in left.items() if n] or ["none"])
        if kind == "none":
            break
        clicked = tour_step(page, chance) if kind == "tour" else a_page(page, chance)
        left[kind] -= clicked
        page.wait_for_timeout(chance.choice((20, 150, 500, 1200, 2500)) * chance.random())
        if page.evaluate(BLANK) and stays_blank(page):
            return 1
        if chance.random() < 0.2:
            something_to_compute(page, chance)
    return int(stays_blank(page))


def stays_blank(page: Any) -> bool:
    """Whether the page has no title or no bar for as long as anybody would wait."""
    from playwright.sync_api import TimeoutError as TimeIsUp

    try:
        page.wait_for_function(f"() => !({BLANK})()", timeout=PATIENCE)
        return False
    except TimeIsUp:
        return True


def pressed(press: Callable[[], Any]) -> bool:
    """Whether a click found its target, which a page that draws itself anew may have taken away."""
    from playwright.sync_api import Error

    with suppress(Error):
        press()
        return True
    return False


def tour_step(page: Any, chance: random.Random) -> bool:
    """Next, mostly; also back, and to where the step is."""
    name = chance.choice(("Next", "Next", "Next", "Back", "Go there"))
    button = page.get_by_test_id("stMain").get_by_role("button", name=name, exact=True)
    if pressed(lambda: button.click(timeout=1500)):
        return True
    return pressed(
        lambda: page.get_by_test_id("stMain").get_by_role("button", name="Back", exact=True).click(timeout=1500)
    )


def a_page(page: Any, chance: random.Random) -> bool:
    link = page.get_by_test_id("stSidebarNav").get_by_role("link", name=chance.choice(PAGES), exact=False).first
    return pressed(lambda: link.click(timeout=1500))


def something_to_compute(page: Any, chance: random.Random) -> None:
    """Another seed under Advanced, so that nothing recorded or stored answers."""
    bar = page.get_by_test_id("stSidebar")

    def typed() -> None:
        if not bar.get_by_label("Seed", exact=True).is_visible():
            bar.get_by_text("Advanced", exact=True).click(timeout=5000)
        bar.get_by_label("Seed", exact=True).fill(str(chance.randrange(10**6)), timeout=5000)
        bar.get_by_label("Seed", exact=True).press("Enter", timeout=5000)

    pressed(typed)


@contextmanager
def slow_line(address: str, seconds: float) -> Iterator[str]:
    """The address of a server as somebody far away has it: what it says comes that much later."""
    host, port = address.removeprefix("http://").split(":")
    door, ends = socket.create_server(("127.0.0.1", 0)), list[socket.socket]()

    def carry(source: socket.socket, sink: socket.socket, late: float) -> None:
        under_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

        def deliver() -> None:
            with suppress(OSError):
                while (item := under_way.get())[1]:
                    time.sleep(max(0.0, item[0] - time.monotonic()))
                    sink.sendall(item[1])
                sink.shutdown(socket.SHUT_WR)

        threading.Thread(target=deliver, daemon=True).start()
        with suppress(OSError):
            while data := source.recv(65536):
                under_way.put((time.monotonic() + late, data))
        under_way.put((0.0, b""))

    def serve() -> None:
        with suppress(OSError):
            while True:
                near, far = door.accept()[0], socket.create_connection((host, int(port)))
                ends.extend((near, far))
                for source, sink, late in ((near, far, 0.0), (far, near, seconds)):
                    threading.Thread(target=carry, args=(source, sink, late), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
    finally:
        with suppress(OSError):
            door.shutdown(socket.SHUT_RDWR)
        for one in [door, *ends]:
            one.close()


def keep_busy() -> None:
    while True:
        sum(range(10_000))


def main(n_steps: int, seed: int = 0) -> int:
    """Blank pages on an empty cache with two processes that keep two cores busy."""
    burners = [multiprocessing.Process(target=keep_busy, daemon=True) for _ in range(2)]
    for burner in burners:
        burner.start()
    with tempfile.TemporaryDirectory() as cache, served("dashboard/app.py", ROOT, Path(cache)) as address:
        blank = wander(n_steps, seed, address)
    for burner in burners:
        burner.kill()
    return blank


if __name__ == "__main__":
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print(f"{n} tour steps, {n} page changes: {main(n, *map(int, sys.argv[2:3]))} blank pages")
