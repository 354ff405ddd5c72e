"""Files appear whole or not at all, and what stands in their way is told before hours are spent."""

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

# The files that this run has written so far; an interruption names the last one.
written: list[Path] = []


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Write `path` whole or not at all.

    Yields a temporary path in the same folder; when the block ends well it is renamed to `path`,
    otherwise it is removed and what stood at `path` before stays. Raises UserError if it cannot be
    written.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if what := _obstacle(path):
            raise UserError(f"cannot write {path}: it is {what}")
        handle, name = tempfile.mkstemp(suffix=path.suffix, prefix=".", dir=path.parent)
        temporary = Path(name)
        # mkstemp makes files private; ours get what an ordinary new file would have.
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
    """What stands at `path` and may not be replaced by a file; "" if nothing does."""
    if path.is_dir():
        return "a folder"
    # As root, a file would take the place even of /dev/null.
    return "not an ordinary file" if path.exists() and not path.is_file() else ""


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def require_writable(folder: str | Path) -> Path:
    """Make `folder`; raises UserError if files cannot be made in it."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        # mkdir has found something else in its place.
        exists = isinstance(error, FileExistsError)
        reason = "it is not a folder" if exists else error.strerror or error
        raise UserError(f"cannot write into {folder}: {reason}") from error
    return folder


def require_savable(path: Path, flag: str) -> Path:
    """Make the folder of `path`; raises UserError if a file cannot be written there."""
    try:
        require_writable(path.parent)
    except UserError as fault:
        raise UserError(f"{flag} {path}: {fault}") from fault
    if what := _obstacle(path):
        raise UserError(f"{flag} {path} is {what}; a file name is needed")
    return path


def write(path: str | Path, content: bytes | str) -> None:
    """Write a file whole or not at all, text as UTF-8; raises UserError if it cannot be written."""
    content = content.encode("utf-8") if isinstance(content, str) else content
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: str | Path, results: dict) -> None:
    """Write the results of a run as JSON, atomically, and print the path."""
    write(path, json.dumps(_plain(results), ensure_ascii=False, allow_nan=False) + "\n")
    print(f"results: {path}")


def _plain(value):
    """Return a value as JSON has it: arrays and tensors as lists, nan and infinity as None."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def require_file(path: Path, flag: str) -> Path:
    """Return `path`; raises UserError, naming `flag`, unless it is an ordinary file."""
    if not path.exists():
        raise UserError(f"{flag} {path}: there is no such file")
    if not path.is_file():
        # Reading a pipe or a device may never end.
        raise UserError(f"{flag} {path}: this is not a file")
    return path


def save_picture(figure, path: str | Path) -> None:
    """Save a matplotlib Figure at `path`, atomically, and say so."""
    # In memory first: on a full disk the library that writes JPEG files leaves half a picture and
    # does not tell.
    buffer = io.BytesIO()
    figure.savefig(buffer, format=Path(path).suffix[1:])
    write(path, buffer.getvalue())
    print(f"picture: {path}")
