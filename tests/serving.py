"""A Streamlit server of its own on a free port, and the Chromium that visits it; for browser tests and benchmarks."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHROMIUM = (
    os.environ.get("PKT_CHROMIUM")
    or shutil.which("chromium")
    or shutil.which("chromium-browser")
    or shutil.which("google-chrome")
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextlib.contextmanager
def served(script: str | Path, cwd: Path, cache: Path) -> Iterator[str]:
    """The address of a script as `streamlit run` serves it; what it prints goes to server.log in the cache.

    Raises RuntimeError with the log's end where it does not come up in a minute.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(script),
        "--server.port",
        str(port),
        "--server.headless",
        "true",
    ]
    with (cache / "server.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=cwd, env={**os.environ, "PKT_CACHE": str(cache)}, stdout=log, stderr=log
        )
        address = f"http://127.0.0.1:{port}"
        try:
            for _ in range(300):
                try:
                    urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.2)
            else:
                raise RuntimeError(f"the app did not start: {(cache / 'server.log').read_text()[-500:]}")
            yield address
        finally:
            process.terminate()
            process.wait(20)
