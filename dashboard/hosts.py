"""Which requests are answered: those that name this machine and come from its own pages. Other sites may not frame the app.

A browser lets a page of another site send requests to its own host name, and the owner of that name can point it at 127.0.0.1 after
the page was loaded (DNS rebinding). The name stays in `Host`, so a foreign name gets 403 before anything else is checked, on every
address and on the websocket. Streamlit's `server.allowedHosts` covers the websocket only; Starlette's TrustedHostMiddleware ignores
`Origin`, and answers 400.

Not covered: who may visit at all; the app binds to this machine unless configured otherwise (`.streamlit/config.toml`).
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import streamlit as st
from starlette.middleware import Middleware

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")
EVERYWHERE = ("0.0.0.0", "::")
"""Bind addresses that stand for every address of the machine."""
FRAMES = ((b"content-security-policy", b"frame-ancestors 'self'"), (b"x-frame-options", b"SAMEORIGIN"))
REFUSED = b"This app does not answer to this host name, or to pages of other sites. Open it as localhost, or set the host with --browser.serverAddress.\n"
READING = ("GET", "HEAD")


def name_in(host: str) -> str | None:
    """The name or address in a `Host` header, in lower case, without port, brackets and final dot; None where it is malformed."""
    match = HOST.fullmatch(host.lower())
    return None if match is None else match[1].strip("[]").removesuffix(".")


def is_ours(name: str) -> bool:
    """Whether the server answers to a name or address.

    It answers to localhost, names under it and loopback addresses; to the values of `server.address`, `browser.serverAddress` and
    `server.allowedHosts`; and, where it is bound to every address of the machine, to any numeric address, which DNS cannot
    redirect, and to the machine's own name.
    """
    if name == "localhost" or name.endswith(".localhost"):
        return True
    bound = str(st.get_option("server.address") or EVERYWHERE[0]).lower()
    try:
        if ipaddress.ip_address(name).is_loopback or bound in EVERYWHERE:
            return True
    except ValueError:  # a name
        if bound in EVERYWHERE and name == socket.gethostname().lower():
            return True
    if name in (name_in(bound), name_in(str(st.get_option("browser.serverAddress")))):
        return True
    patterns = (str(one).strip().lower() for one in st.get_option("server.allowedHosts"))
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def is_allowed(scope: Scope) -> bool:
    """Whether a request is answered: `Host` is ours, and a request that may change something comes from our pages or from no page."""
    headers = [(key.lower(), value.decode("latin-1")) for key, value in scope["headers"]]
    hosts, origins = ([value for key, value in headers if key == header] for header in (b"host", b"origin"))
    if len(hosts) != 1 or (name := name_in(hosts[0])) is None or not is_ours(name):
        return False
    if not origins or (scope["type"] == "http" and scope["method"] in READING):
        return True
    origin, same = origins[0].lower(), hosts[0].lower()
    return len(origins) == 1 and (
        origin in (f"http://{same}", f"https://{same}") or origin in st.get_option("server.corsAllowedOrigins")
    )


class Door:
    """Middleware before all of Streamlit's: refuses with 403, and sends headers that forbid other sites to frame a response."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        if is_allowed(scope):
            return await self.app(scope, receive, unframed(send))
        if scope["type"] == "websocket":
            return await send(
                {"type": "websocket.close", "code": 1008}
            )  # before it is accepted: the server answers 403
        headers = [(b"content-type", b"text/plain; charset=utf-8"), *FRAMES]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": REFUSED})
        return None


def unframed(send: Send) -> Send:
    """The same `send`, with the headers that forbid foreign frames."""

    async def sends(message: Scope) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *FRAMES]}
        await send(message)

    return sends


DOOR = [Middleware(Door)]
