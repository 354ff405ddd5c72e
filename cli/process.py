"""Running a script: exit status and one-line errors, random seed, interruption, progress."""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import random
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import matplotlib
import numpy
import torch


class UserError(Exception):
    """An error that the user can fix, printed as one line by `run`.

    status: exit status of the script, 2 for invalid flags, 1 for other errors.
    """

    def __init__(self, message: str, status: int = 1):
        super().__init__(message)
        self.status = status


# Ctrl-C, and what is sent at shutdown.
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(main: Callable[[], int | None]) -> NoReturn:
    """Call `main` and end the process with its exit status; print an error as one line on stderr.

    Exceptions that indicate a bug keep their traceback. Pictures are drawn with matplotlib's
    default style, not the user's. Signal handlers and style are restored, for a notebook's %run.
    """
    _complete_streams()
    previous = _set_handlers(dict.fromkeys(SIGNALS, _interrupt))
    try:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            status = _status(main)
    finally:
        _set_handlers(previous)
    # Python takes a moment to end, in which a signal would print a traceback.
    atexit.register(_set_handlers, dict.fromkeys(SIGNALS, signal.SIG_IGN))
    sys.exit(status)


def _complete_streams() -> None:
    """Replace output that does not exist: all with pythonw, stderr with `2>&-`."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = sys.stdout
    # Print characters that the terminal cannot show, as in a path, as \u30d7. IDLE and notebooks
    # show all, and have no such method.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")


def _set_handlers(handlers: Mapping[int, Any]) -> dict[int, Any]:
    """Set signal handlers, if this is the main thread; return the previous ones."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number, handler in handlers.items()}


def _status(main: Callable[[], int | None]) -> int | str:
    """Return the exit status of `main`, after printing its error."""
    try:
        try:
            status = main() or 0
        except SystemExit as end:  # of --help
            status = end.code
        # Flush here, because Python would report a failure at exit in its own way.
        sys.stdout.flush()
        return status
    except UserError as error:
        message, status = str(error), error.status
    except KeyboardInterrupt as interrupt:
        message, status = "interrupted", 128 + (*interrupt.args, signal.SIGINT)[0]
    except OSError as error:
        message, status = error.strerror or str(error) or type(error).__name__, 1
        if error.filename:
            message = f"{error.filename}: {message}"
        else:
            message = f"standard output: {message}"
            # Discard what is buffered, because Python flushes it at exit.
            with contextlib.suppress(OSError, AttributeError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            # The reader of the output has ended (`| head`), which is EINVAL on Windows.
            if error.errno == errno.EPIPE or (os.name == "nt" and error.errno == errno.EINVAL):
                return 0
    except (MemoryError, RuntimeError) as error:
        text, status = f"{type(error).__name__} {error}", 1
        # torch raises OutOfMemoryError on a GPU, but a plain RuntimeError from its libraries and
        # on the CPU.
        if any(name in text for name in ("OutOfMemoryError", "out of memory", "ALLOC_FAILED")):
            message = "not enough memory on the GPU: compute on the CPU by --no_cuda"
        elif isinstance(error, MemoryError) or "DefaultCPUAllocator" in text:
            message = "not enough memory for a network of this size: choose a smaller one"
        else:
            raise
    # A message may quote a file: no line breaks, and no control characters for the terminal.
    message = "".join(c if c.isprintable() else "?" for c in " ".join(message.split()))
    print(f"{Path(sys.argv[0]).name}: error: {message}", file=sys.stderr)
    return status


def _interrupt(number: int, frame) -> NoReturn:
    raise KeyboardInterrupt(number)


def seed_everything(seed: int | None) -> int:
    """Seed Python, numpy and torch, at random if `seed` is None; print and return the seed."""
    hint = ""
    if seed is None:
        seed = secrets.randbelow(1_000_000)
        hint = f" (chosen at random; --seed {seed} repeats this run)"
    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    print(f"seed: {seed}{hint}")
    return seed


class Stop:
    """Lets Ctrl-C or SIGTERM end a loop after its step; a second signal ends the script at once.

    with Stop() as stop:
        while not stop:
            ...

    `stop.status` is the exit status for the signal (130 or 143), 0 without a signal.
    """

    def __init__(self):
        self.status = 0

    def __enter__(self) -> Stop:
        self._previous = _set_handlers(dict.fromkeys(SIGNALS, self._handle))
        return self

    def __exit__(self, *exception) -> None:
        _set_handlers(self._previous)

    def __bool__(self) -> bool:
        return self.status != 0

    def _handle(self, number: int, frame) -> None:
        if self:
            _interrupt(number, frame)
        self.status = 128 + number
        # os.write, because a handler may interrupt a print, which is not reentrant.
        with contextlib.suppress(OSError, AttributeError):
            text = b"\nstopping after this step; interrupt again to stop at once\n"
            os.write(sys.stderr.fileno(), text)


class Progress:
    """A line with the time left, shown on a terminal only.

    total: number of steps; first: steps done before, by a run that is resumed.
    """

    def __init__(self, total: int, first: int = 0):
        self.total, self.first = total, first
        self.enabled, self.width = False, 0
        # IDLE's output says that it is a terminal, but has no file number.
        with contextlib.suppress(OSError, AttributeError):
            self.enabled = os.isatty(sys.stderr.fileno())
        self.start = self.last = time.monotonic()

    def update(self, done: int, text: str) -> None:
        """Show `text` and the time left after `done` of `total` steps, at most every 0.2 s."""
        now = time.monotonic()
        if not self.enabled or done == self.first or now - self.last < 0.2:
            return
        self.last = now
        left = round((now - self.start) * (self.total - done) / (done - self.first))
        line = f"{text}, {left // 60}:{left % 60:02d} left"
        # Spaces, because not every terminal of Windows can clear a line.
        print(f"\r{line.ljust(self.width)}", end="", file=sys.stderr, flush=True)
        self.width = len(line)

    def clear(self) -> None:
        """Clear the line before other output is printed."""
        if self.width:
            print(f"\r{' ' * self.width}\r", end="", file=sys.stderr, flush=True)
            self.width = 0
