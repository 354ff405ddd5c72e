"""Files: written whole or not at all, output paths checked before training, checkpoints, JSON."""

from __future__ import annotations

from cli.process import UserError

import contextlib
import errno
import io
import json
import math
import os
import secrets
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from matplotlib.figure import Figure

# Seconds for which a rename is tried again, because a virus scanner may hold the file for a moment.
RENAME_TIMEOUT = 1.0


# Writing


def write(path: str | Path, content: bytes | str) -> None:
    """Write a file whole or not at all, text as UTF-8. Raises UserError if it cannot be written.

    The content is written to a temporary name in the same folder, which is then renamed, so that an
    older file is kept if anything fails. A symbolic link's target is written.
    """
    target = Path(path).resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(target)
        try:
            with open(temporary, "xb") as file:
                file.write(content.encode("utf-8") if isinstance(content, str) else content)
                file.flush()
                _synchronise(file)
            _rename(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def _temporary(path: Path) -> Path:
    """Return an unused name beside `path`, with its suffix."""
    return path.with_name(f".{path.stem[:40]}-{secrets.token_hex(6)}{path.suffix}")


def _synchronise(file) -> None:
    try:
        os.fsync(file.fileno())
    except OSError as error:
        # Some network drives cannot do this; others report only here that they are full.
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise


def _rename(temporary: Path, path: Path) -> None:
    end = time.monotonic() + RENAME_TIMEOUT
    while True:
        try:
            os.replace(temporary, path)
            return
        except PermissionError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def require_writable(folder: str | Path) -> Path:
    """Create and return `folder`. Raises UserError if files cannot be created in it."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = _temporary(folder / "probe")
        probe.touch(exist_ok=False)
        probe.unlink(missing_ok=True)
    except FileExistsError as error:
        raise UserError(f"cannot write into {folder}: it is not a folder") from error
    except OSError as error:
        raise UserError(f"cannot write into {folder}: {error.strerror or error}") from error
    return folder


def require_savable(path: Path, flag: str) -> Path:
    """Create the folder of `path`; return `path`. Raises UserError if it cannot be written."""
    # Checked here, because os.replace, run as root, would replace even /dev/null.
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "not a regular file"
        raise UserError(f"{flag} {path} is {kind}: choose a file name")
    try:
        require_writable(path.resolve().parent)
    except UserError as error:
        raise UserError(f"{flag} {path}: {error}") from error
    return path


def write_json(path: str | Path, results: dict) -> None:
    """Write the results of a run as JSON and print the path."""
    write(path, json.dumps(to_json(results), ensure_ascii=False, allow_nan=False) + "\n")
    print(f"results: {path}")


def to_json(value):
    """Convert a value to JSON types: arrays and tensors to lists, nan and infinity to None."""
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if hasattr(value, "tolist"):
        return to_json(value.tolist())
    if isinstance(value, complex):
        return [value.real, value.imag]
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


# Format of pictures, which the parser sets to --format.
picture_format = "jpg"


def save_picture(figure: Figure, path: str | Path) -> Path:
    """Save a Figure at `path`, in --format instead of .jpg; print and return the path."""
    path = Path(path)
    path = path.with_suffix(f".{picture_format}") if path.suffix == ".jpg" else path
    # In memory first, because on a full disk libjpeg writes a truncated picture without an error.
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:])
    write(path, buffer.getvalue())
    print(f"picture: {path}")
    return path


def show_window(draw: Callable[[Figure], object], size: tuple[float, float]) -> None:
    """Show what `draw` draws on a Figure of this size, in inches, until the window is closed.

    Nothing is shown without a screen or in a notebook. A failure of the window is one line.
    """
    # Imported here, because it takes long and opens the screen.
    from matplotlib import pyplot
    from matplotlib.backends import BackendFilter, backend_registry

    try:
        backend = pyplot.get_backend().lower()
        if backend in backend_registry.list_builtin(BackendFilter.INTERACTIVE):
            figure = pyplot.figure(figsize=size)
            draw(figure)
            print("close the window to continue", flush=True)
            pyplot.show()
    except Exception as error:  # of any of seven window systems
        print(f"no window: {' '.join(str(error).split())}", file=sys.stderr)


# Reading


def require_file(path: Path, flag: str) -> Path:
    """Return `path`. Raises UserError, naming `flag`, unless it is a regular file."""
    if not path.exists():
        raise UserError(f"{flag} {path}: file not found")
    if not path.is_file():
        # Reading a pipe or a device may never end.
        raise UserError(f"{flag} {path}: not a file")
    return path


# Checkpoints: a network's state_dict, as torch.save writes it, with the run in its metadata. Other
# scripts load the weights as if nothing were added.


def write_checkpoint(path: Path, state: dict, run: dict) -> None:
    """Write a state_dict with a run: a dict of tensors, numbers, strings and containers of them."""
    state._metadata["run"] = run
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write(path, buffer.getvalue())


def read_checkpoint(path: Path, flag: str) -> tuple[dict, dict | None]:
    """Return the content of a checkpoint, on the CPU, and its run, None if it has none.

    No code in the file is run. Raises UserError, naming `flag`, if it is not a checkpoint.
    """
    require_file(path, flag)
    try:
        content = io.BytesIO(path.read_bytes())
    except OSError as error:
        raise UserError(f"{flag} {path}: {error.strerror or error}") from error
    state = None
    # A damaged or foreign file may raise almost any exception.
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        # torch warns about unusual pickles before it rejects them.
        warnings.simplefilter("ignore")
        # torch.load ignores the checksums of a zip archive, its format since 2020.
        if not zipfile.is_zipfile(content) or zipfile.ZipFile(content).testzip() is None:
            content.seek(0)
            state = torch.load(content, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise UserError(f"{flag} {path}: damaged, or not a checkpoint")
    metadata = getattr(state, "_metadata", None)
    run = metadata.get("run") if isinstance(metadata, dict) else None
    return state, run if isinstance(run, dict) else None


def load_weights(net: torch.nn.Module, state: dict) -> None:
    """Load a state_dict into a network.

    Raises ValueError, with what does not fit, if names or shapes differ or a number is not finite.
    """
    expected = net.state_dict()
    missing = sorted(set(expected) - set(state))
    foreign = sorted(map(str, set(state) - set(expected)))[:6]
    if missing or foreign:
        parts = [f"without {', '.join(missing)}"] * bool(missing)
        raise ValueError("; ".join(parts + [f"unexpected: {', '.join(foreign)}"] * bool(foreign)))
    for name, value in state.items():
        if not isinstance(value, torch.Tensor) or value.shape != expected[name].shape:
            shape = tuple(getattr(value, "shape", ()))
            raise ValueError(f"{name} has the shape {shape}, not {tuple(expected[name].shape)}")
        if not value.isfinite().all():
            raise ValueError(f"{name} contains non-finite numbers")
    net.load_state_dict(state)
