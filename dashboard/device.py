"""Memory and GPUs of this machine. GPUs are queried from their driver, so that a page never waits for torch."""

from __future__ import annotations

import streamlit as st


@st.cache_data(ttl=10, show_spinner=False)
def memory_gib() -> tuple[float, float]:
    """Free and total memory of this machine, in GiB."""
    import psutil

    memory = psutil.virtual_memory()
    return memory.available / 2**30, memory.total / 2**30


@st.cache_data(ttl=5, show_spinner=False)
def cards() -> list[tuple[str, float, float]]:
    """Each NVIDIA GPU: name, used and total memory in GiB; empty where there is none."""
    import shutil
    import subprocess

    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=name,memory.used,memory.total", "--format=csv,noheader,nounits"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
        rows = [line.rsplit(",", 2) for line in output.splitlines() if line.strip()]
        return [(name.strip(), float(used) / 1024, float(total) / 1024) for name, used, total in rows]
    except (OSError, ValueError, subprocess.SubprocessError):
        return []
