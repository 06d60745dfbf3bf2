"""Whether the Hugging Face hub can be reached from here: checked before anything that would time out on it."""

from __future__ import annotations

import functools
import os
import socket


@functools.cache
def hub_reachable() -> bool:
    """Whether the Hugging Face hub answers within two seconds; checked once per process."""
    if os.environ.get("HF_HUB_OFFLINE", "") in ("1", "true", "True", "ON"):
        return False
    host = os.environ.get("HF_ENDPOINT", "https://huggingface.co").split("//")[-1].split("/")[0].split(":")[0]
    try:
        socket.create_connection((host, 443), timeout=2).close()
    except OSError:
        return False
    return True
