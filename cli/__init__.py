"""Shared by all scripts: flags, errors, signals, files and checkpoints.

Imported before all other modules, because it reports in one line that a script cannot run here.
"""

import importlib.util
import os
import sys


def _refuse_to_run():
    """End the script in one line if Python is too old or a package is missing."""
    # No syntax that an old Python lacks. pip installs further packages with these.
    packages = ("matplotlib", "numpy", "scipy", "torch")
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if sys.version_info < (3, 11):  # noqa: UP036
        reason = "Python 3.11 or newer is required, but this is {}.{}".format(*sys.version_info)
    elif missing:
        reason = "not installed: {}".format(", ".join(missing))
    else:
        return
    remedy = "activate the environment, or install requirements.txt (see README.md)"
    sys.exit(f"{os.path.basename(sys.argv[0])}: error: {reason} ({sys.executable}): {remedy}")


def _import_matplotlib():
    """Import matplotlib whatever MPLBACKEND is: it may name a backend that is not installed, as a
    notebook's is not for the Python of `!python3 ...`."""
    backend = os.environ.pop("MPLBACKEND", None)
    matplotlib = importlib.import_module("matplotlib")
    if backend:
        os.environ["MPLBACKEND"] = backend
        try:
            matplotlib.rcParams["backend"] = backend
        except ValueError:
            matplotlib.rcParams["backend"] = "agg"


_refuse_to_run()
if "matplotlib" not in sys.modules:
    _import_matplotlib()
