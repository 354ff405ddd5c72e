"""Running a script: exit status and one-line errors, random seed, interruption, progress.

`UserError`          is an error that the user can fix, reported in one line.
`run(main)`          calls `main` and ends the process with its exit status.
`seed_everything`    seeds all random number generators and prints the seed.
`Stop`               lets Ctrl-C end a loop after the current step, so that results are kept.
`Progress`           shows the time left on a terminal.
"""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy
import torch


class UserError(Exception):
    """An error that the user can fix, printed as one line by `run`.

    status: exit status of the script, 2 for invalid flags, 1 for other errors.
    """

    def __init__(self, message: str, status: int = 1):
        super().__init__(message)
        self.status = status


class Terminated(KeyboardInterrupt):
    """SIGTERM, which is sent at shutdown."""


def run(main: Callable[[], int | None]) -> NoReturn:
    """Call `main` and end the process with its exit status; print an error as one line on stderr.

    Exceptions that indicate a bug keep their traceback.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    if sys.stdout is not None:
        # Print characters that the terminal cannot show, as in a path, as \u30d7.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            status = main() or 0
        except SystemExit as end:  # of --help
            status = end.code
        # Flush here, because Python would report a failure at exit in its own way.
        if sys.stdout is not None:
            sys.stdout.flush()
    except UserError as error:
        status = _report_error(str(error), error.status)
    except KeyboardInterrupt as interrupt:
        status = 143 if isinstance(interrupt, Terminated) else 130
        status = _report_error("interrupted", status)
    except BrokenPipeError:
        # Not an error: the reader of the output has ended (`| head`).
        _discard_output()
        status = 0
    except OSError as error:
        status = _report_error(_os_error_message(error), 1)
        _discard_output()
    except (MemoryError, RuntimeError) as error:
        # torch raises OutOfMemoryError on a GPU, but a plain RuntimeError on the CPU.
        allocator = ("OutOfMemoryError", "DefaultCPUAllocator")
        if not isinstance(error, MemoryError) and not any(
            name in f"{type(error).__name__} {error}" for name in allocator
        ):
            raise
        status = _report_error(
            "not enough memory for a network of this size: choose a smaller one", 1
        )
    _ignore_signals()
    sys.exit(status)


def _interrupt(number: int, frame) -> NoReturn:
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def _discard_output() -> None:
    """Discard buffered output, because Python flushes it at exit and would report an error."""
    with contextlib.suppress(OSError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _ignore_signals() -> None:
    """Ignore further signals, because the script is about to end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _report_error(message: str, status: int) -> int:
    _ignore_signals()
    # A message may quote a file: no line breaks, and no control characters for the terminal.
    message = "".join(c if c.isprintable() else "?" for c in " ".join(message.split()))
    print(f"{Path(sys.argv[0]).name}: error: {message}", file=sys.stderr)
    return status


def _os_error_message(error: OSError) -> str:
    """Return file name and reason without errno: 'plot/a.jpg: No space left on device'."""
    text = error.strerror or str(error) or type(error).__name__
    # An error of print has no file name.
    return f"{error.filename or 'standard output'}: {text}"


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
        for batch in batches:
            ...
            if stop:
                break

    `stop.status` is the exit status for the signal (130 or 143), 0 without a signal.
    """

    def __init__(self):
        self.status = 0

    def __enter__(self) -> Stop:
        self._previous = {
            number: signal.signal(number, self._handle)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *exception) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def __bool__(self) -> bool:
        return self.status != 0

    def _handle(self, number: int, frame) -> None:
        if self:
            _interrupt(number, frame)
        self.status = 128 + number
        # os.write, because a handler may interrupt a print, which is not reentrant.
        with contextlib.suppress(OSError):
            os.write(2, b"\nstopping after this step; interrupt again to stop at once\n")


class Progress:
    """A line with the time left, shown on a terminal only.

    total: number of steps; first: steps done before, by a run that is resumed.
    """

    def __init__(self, total: int, first: int = 0):
        self.total, self.first = total, first
        self.enabled = sys.stderr.isatty()
        self.start = self.last = time.monotonic()

    def update(self, done: int, text: str) -> None:
        """Show `text` and the time left after `done` of `total` steps, at most every 0.2 s."""
        now = time.monotonic()
        if not self.enabled or done == self.first or now - self.last < 0.2:
            return
        self.last = now
        left = round((now - self.start) * (self.total - done) / (done - self.first))
        print(f"\r\033[K{text}, {left // 60}:{left % 60:02d} left", end="", file=sys.stderr)
        sys.stderr.flush()

    def clear(self) -> None:
        """Clear the line before other output is printed."""
        if self.enabled:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
