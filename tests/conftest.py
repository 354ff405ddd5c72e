"""Loads what the tests share, in the processes that run tests."""

from __future__ import annotations

import os

import pytest

# One thread: the networks of the tests are small, and two threads that wait for each other on a
# busy machine make them many times slower. Set before torch is imported, for the scripts as well.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure(config: pytest.Config) -> None:
    """Import shared.py, except where tests are only handed out: importing torch there too would
    have all the other processes wait."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses"):
        config.pluginmanager.import_plugin("shared")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest test first: nobody waits for it alone at the end."""
    items.sort(key=lambda item: "[conv-" not in item.name)
