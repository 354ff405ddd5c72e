"""Configuration of pytest: one thread, shared.py as plugin, slowest test first."""

import os

import pytest

# One thread, because on a busy machine synchronising two threads makes small networks many times
# slower. Set before torch is imported; scripts started by tests inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure(config: pytest.Config) -> None:
    """Import shared.py, but not in the process that distributes tests, for which workers wait."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        config.pluginmanager.import_plugin("shared")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest test first, so that no worker is still busy with it at the end."""
    items.sort(key=lambda item: "[conv-" not in item.name)
