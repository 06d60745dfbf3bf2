"""Shared by all tests: a cache of their own, so that no test reads or writes the real one."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands in for the user's cache; does not exist yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("PKT_CACHE", str(folder))
    monkeypatch.setenv("PKT_FOLDERS", str(tmp_path.parent.parent))  # what tests make may be named on pages
    return folder


@pytest.fixture
def walls() -> None:
    """For tests that run code of a model: Bubblewrap has to be there; a kernel that lets it build nothing is a reason to skip."""
    from pkt_core.benchmarks.sandbox import unavailable

    assert shutil.which("bwrap"), (
        "install bubblewrap (apt install bubblewrap); these tests may not be skipped for want of it"
    )
    if (why := unavailable()) is not None:
        pytest.skip(f"Bubblewrap is here, but this kernel lets it build no walls: {why}")
