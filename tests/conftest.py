"""Configuration of pytest: one thread, shared.py as plugin, slowest test first."""

from __future__ import annotations

import os

import pytest

# One thread, because on a busy machine synchronising two threads makes small networks many times
# slower. Set before torch is imported; scripts started by tests inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure(config: pytest.Config) -> None:
    """Import shared.py, except in the process that only distributes tests to workers: the workers
    would have to wait until it has imported torch."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        config.pluginmanager.import_plugin("shared")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest test first, so that no worker is still busy with it at the end."""
    items.sort(key=lambda item: "[conv-" not in item.name)
