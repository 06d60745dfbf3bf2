"""Who is answered: raw requests and handshakes against the server that `streamlit run` starts, and a browser that is led astray.

Needs Chromium for the last tests, as test_browser.py does.
"""

from __future__ import annotations

import base64
import http.server
import os
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import serving
import streamlit as st
from browsing import eventually

from dashboard import hosts

ROOT = Path(__file__).parents[1]
OPTIONS = {
    "server.address": "127.0.0.1",
    "browser.serverAddress": "localhost",
    "server.allowedHosts": [],
    "server.corsAllowedOrigins": [],
}


@pytest.fixture
def options(monkeypatch):
    """Streamlit's options, as they are where nobody said anything."""
    held = dict(OPTIONS)
    monkeypatch.setattr(st, "get_option", held.__getitem__)
    return held


def answered(*fields: tuple[str, str], kind="http", method="GET"):
    headers = [(key.encode(), value.encode()) for key, value in fields]
    return hosts.is_allowed({"type": kind, "method": method, "headers": headers})


OURS = [
    "localhost",
    "LocalHost:8501",
    "localhost.",
    "localhost.:8501",
    "127.0.0.1:8501",
    "127.8.8.8",
    "[::1]:8501",
    "app.localhost",
]
FOREIGN = [
    "evil.example",
    "evil.example:8501",
    "EVIL.EXAMPLE.",
    "localhost.evil.example",
    "evillocalhost",
    "127.0.0.1.evil.example",
    "192.168.1.7",
    "0.0.0.0",
    "[::]",
    "[2001:db8::1]:8501",
    "user@localhost",
    "localhost/",
    "localhost evil.example",
    "localhost,evil.example",
    "localhost:x",
    "localhost:123456",
    "2130706433",
    "127.1",
    "",
    "..",
]


@pytest.mark.usefixtures("options")
def test_localhost_in_every_spelling_is_ours_and_nothing_else_is():
    assert [host for host in OURS if not answered(("host", host))] == []
    assert [host for host in FOREIGN if answered(("host", host))] == []
    assert not answered()  # no Host at all
    assert not answered(("host", "localhost"), ("host", "evil.example"))
    assert not answered(("host", "evil.example"), ("x-forwarded-host", "localhost"), ("forwarded", "host=localhost"))
    assert answered(("host", "localhost"), ("x-forwarded-host", "evil.example"))


def test_what_the_options_name_is_ours_too(options):
    options["server.address"] = "192.168.1.7"
    assert answered(("host", "192.168.1.7:8501"))
    assert not answered(("host", "192.168.1.8"))
    options["browser.serverAddress"] = "Pkt.Lab.example"
    options["server.allowedHosts"] = ["*.proxy.example", "one.example"]
    assert all(answered(("host", name)) for name in ("pkt.lab.example", "a.proxy.example:1", "ONE.example."))
    assert not any(answered(("host", name)) for name in ("lab.example", "proxy.example", "two.example"))


@pytest.mark.parametrize("address", ["0.0.0.0", "::", None])
def test_bound_to_every_address_it_answers_to_addresses_in_numbers_and_to_the_machine_s_name(options, address):
    options["server.address"] = address
    assert all(
        answered(("host", name)) for name in ("192.168.1.7:80", "[2001:db8::1]", socket.gethostname(), "localhost")
    )
    assert not any(
        answered(("host", name)) for name in ("evil.example", "2130706433", f"{socket.gethostname()}.evil.example")
    )


@pytest.mark.parametrize(
    ("kind", "method"), [("websocket", ""), ("http", "PUT"), ("http", "DELETE"), ("http", "OPTIONS")]
)
def test_what_changes_something_comes_from_a_page_of_ours_or_from_none(options, kind, method):
    def asks(origin):
        return answered(("host", "localhost:8501"), *([("origin", origin)] if origin else []), kind=kind, method=method)

    assert all(asks(origin) for origin in ("http://localhost:8501", "https://LOCALHOST:8501", ""))
    for origin in (
        "http://evil.example",
        "null",
        "http://localhost",
        "http://localhost:9",
        "http://127.0.0.1:8501",
        "file://",
    ):
        assert not asks(origin), origin
    options["server.corsAllowedOrigins"] = ["https://pkt.example"]
    assert asks("https://pkt.example")


def said(address: str, *lines: str) -> str:
    """What a server says to these lines, sent over a bare socket."""
    with socket.create_connection(("127.0.0.1", urlsplit(address).port), timeout=10) as line:
        line.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        return b"".join(iter(lambda: line.recv(65536), b"")).decode("latin-1")


def handshake(address: str, *fields: str) -> str:
    """What a server says to a websocket that is to be opened; the first line."""
    key = base64.b64encode(os.urandom(16)).decode()
    with socket.create_connection(("127.0.0.1", urlsplit(address).port), timeout=10) as line:
        asked = [
            "GET /_stcore/stream HTTP/1.1",
            *fields,
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
        ]
        line.sendall("\r\n".join([*asked, "", ""]).encode())
        return line.recv(65536).decode("latin-1").splitlines()[0]


PLACES = [
    "/",
    "/transfer",
    "/_stcore/health",
    "/_stcore/host-config",
    "/_stcore/metrics",
    "/media/x.png",
    "/_stcore/upload_file/a/b",
    "/static/x.js",
    "/component/x/index.html",
    "/nowhere",
]


@pytest.mark.parametrize("place", PLACES)
def test_a_foreign_name_gets_403_everywhere_and_nobody_may_frame_an_answer(server, place):
    refused = said(server, f"GET {place} HTTP/1.1", "Host: evil.example")
    assert refused.startswith("HTTP/1.1 403")
    assert "Open it as localhost" in refused
    ours = said(server, f"GET {place} HTTP/1.1", f"Host: {urlsplit(server).netloc}")
    assert not ours.startswith("HTTP/1.1 403")
    for one in (refused, ours):
        assert "content-security-policy: frame-ancestors 'self'" in one.lower()
        assert "x-frame-options: sameorigin" in one.lower()


def test_a_websocket_opens_for_our_pages_only(server):
    host = urlsplit(server).netloc
    assert " 101 " in handshake(server, f"Host: {host}", f"Origin: {server}")
    for fields in (
        ["Host: evil.example", "Origin: http://evil.example"],
        ["Host: evil.example"],
        [f"Host: {host}", "Origin: http://evil.example"],
        [f"Host: {host}", "Origin: null"],
        ["Host: evil.example", f"X-Forwarded-Host: {host}", f"Origin: {server}"],
    ):
        assert " 403 " in handshake(server, *fields), fields


@pytest.fixture(scope="module")
def led_astray():
    """A browser for which a foreign name leads to this machine, as after DNS rebinding."""
    if not serving.CHROMIUM:
        pytest.skip("needs Chromium")
    from playwright.sync_api import sync_playwright

    flags = [*serving.FLAGS, "--host-resolver-rules=MAP evil.example 127.0.0.1"]
    with sync_playwright() as playing:
        browser = playing.chromium.launch(executable_path=serving.CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.mark.browser
@pytest.mark.timeout(180)
def test_a_browser_that_is_led_here_by_a_foreign_name_sees_nothing(led_astray, server):
    port, tab = urlsplit(server).port, led_astray.new_page()
    answer = tab.goto(f"http://evil.example:{port}/")
    assert answer is not None
    assert answer.status == 403
    opens = "address => new Promise(done => { const s = new WebSocket(address); s.onopen = () => done('open'); s.onerror = () => done('refused') })"
    assert tab.evaluate(opens, f"ws://evil.example:{port}/_stcore/stream") == "refused"
    assert tab.evaluate(opens, f"ws://127.0.0.1:{port}/_stcore/stream") == "refused"  # a page of another site
    tab.goto(server)
    tab.get_by_role("heading", level=1).wait_for(timeout=60_000)
    assert tab.evaluate(opens, f"ws://127.0.0.1:{port}/_stcore/stream") == "open"
    tab.close()


@pytest.mark.browser
@pytest.mark.timeout(180)
def test_a_foreign_page_cannot_frame_ours(led_astray, server):
    page = f"<iframe src='{server}/_stcore/health'></iframe>".encode()

    class Foreign(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Foreign) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        tab, told = led_astray.new_page(), []
        tab.on("console", lambda line: told.append(line.text))
        tab.goto(f"http://evil.example:{other.server_port}/")
        eventually(tab, lambda: any("frame-ancestors" in line for line in told), True)
        tab.close()
        other.shutdown()
