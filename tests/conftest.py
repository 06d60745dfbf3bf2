"""Shared by all tests: a cache of their own, so that no test reads or writes the real one."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands in for the user's cache; does not exist yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("PKT_CACHE", str(folder))
    return folder
