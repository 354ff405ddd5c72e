"""Files are written atomically, and output paths are checked before long computations."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cli.errors import UserError

# Files written so far, of which an interruption reports the last.
written: list[Path] = []


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Write the file `path` completely or not at all.

    Yields a temporary path in the same folder, which is renamed to `path` after the block, or
    deleted if the block raises, so that an older file at `path` is kept. Raises UserError if the
    file cannot be written.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if obstacle := _obstacle(path):
            raise UserError(f"cannot write {path}: it is {obstacle}")
        handle, name = tempfile.mkstemp(suffix=path.suffix, prefix=".", dir=path.parent)
        temporary = Path(name)
        # mkstemp makes files private; this one gets the default permissions of new files.
        os.close(handle)
        os.chmod(temporary, 0o666 & ~_umask())
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        written.append(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _obstacle(path: Path) -> str:
    """Return what prevents writing a file at `path`, "" if nothing does."""
    if path.is_dir():
        return "a folder"
    # os.replace, run as root, would replace even /dev/null.
    return "not a regular file" if path.exists() and not path.is_file() else ""


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def require_writable(folder: str | Path) -> Path:
    """Create and return `folder`. Raises UserError if files cannot be created in it."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        # mkdir raises FileExistsError if the path is not a folder.
        exists = isinstance(error, FileExistsError)
        reason = "it is not a folder" if exists else error.strerror or error
        raise UserError(f"cannot write into {folder}: {reason}") from error
    return folder


def require_savable(path: Path, flag: str) -> Path:
    """Create the folder of `path`; return `path`. Raises UserError if it cannot be written."""
    try:
        require_writable(path.parent)
    except UserError as error:
        raise UserError(f"{flag} {path}: {error}") from error
    if obstacle := _obstacle(path):
        raise UserError(f"{flag} {path} is {obstacle}: choose a file name")
    return path


def write(path: str | Path, content: bytes | str) -> None:
    """Write a file atomically, text as UTF-8. Raises UserError if it cannot be written."""
    content = content.encode("utf-8") if isinstance(content, str) else content
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: str | Path, results: dict) -> None:
    """Write the results of a run as JSON and print the path."""
    write(path, json.dumps(_to_json(results), ensure_ascii=False, allow_nan=False) + "\n")
    print(f"results: {path}")


def _to_json(value):
    """Convert a value to JSON types: arrays and tensors to lists, nan and infinity to None."""
    if isinstance(value, dict):
        return {key: _to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value]
    if hasattr(value, "tolist"):
        return _to_json(value.tolist())
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def require_file(path: Path, flag: str) -> Path:
    """Return `path`. Raises UserError, naming `flag`, unless it is a regular file."""
    if not path.exists():
        raise UserError(f"{flag} {path}: file not found")
    if not path.is_file():
        # Reading a pipe or a device may never end.
        raise UserError(f"{flag} {path}: not a file")
    return path


def save_picture(figure, path: str | Path) -> None:
    """Save a matplotlib Figure at `path` and print the path."""
    # In memory first, because on a full disk libjpeg writes a truncated picture without an error.
    buffer = io.BytesIO()
    figure.savefig(buffer, format=Path(path).suffix[1:])
    write(path, buffer.getvalue())
    print(f"picture: {path}")
