"""How a script runs and ends: errors and interruptions cost one line, a seed repeats it.

`run(main)`          ends the process with the right status; no traceback reaches a user.
`seed_everything`    one seed decides a run, and is printed.
`Stop`               Ctrl-C ends a loop after its step, so that what was learned is kept.
`Progress`           the time left, shown on a terminal only.
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

from cli import files
from cli.errors import UserError


class Terminated(KeyboardInterrupt):
    """SIGTERM, which a machine sends that is shut down."""


def run(main: Callable[[], int | None]) -> NoReturn:
    """Call `main` and end the process with its status; every error becomes one line on stderr."""
    signal.signal(signal.SIGTERM, _interrupt)
    if sys.stdout is not None:
        # A path may hold what the terminal cannot show: shown as \u30d7 then.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            status = main() or 0
        except SystemExit as end:  # of --help
            status = end.code
        # What cannot be printed is told here: later Python itself would complain.
        if sys.stdout is not None:
            sys.stdout.flush()
    except UserError as error:
        status = _report_error(str(error), error.status)
    except KeyboardInterrupt as interrupt:
        kept = (
            f"{files.written[-1]} was the last file saved" if files.written else "nothing was saved"
        )
        status = 143 if isinstance(interrupt, Terminated) else 130
        status = _report_error(f"interrupted; {kept}", status)
    except BrokenPipeError:
        # The reader of our output has left (`| head`): no error.
        _abandon_output()
        status = 0
    except OSError as error:
        status = _report_error(_reason(error), 1)
        _abandon_output()
    except (MemoryError, RuntimeError) as error:
        # torch has a class of its own for it on a GPU, none on the CPU.
        allocator = ("OutOfMemoryError", "DefaultCPUAllocator")
        if not isinstance(error, MemoryError) and not any(
            name in f"{type(error).__name__} {error}" for name in allocator
        ):
            raise
        status = _report_error(
            "not enough memory for a network of this size; choose a smaller one", 1
        )
    _end_quietly()
    sys.exit(status)


def _interrupt(number: int, frame) -> NoReturn:
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def _abandon_output() -> None:
    """Let what is still to be printed vanish: Python flushes at its end, and would complain."""
    with contextlib.suppress(OSError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end_quietly() -> None:
    """Take no notice of signals any more: the script is about to end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _report_error(message: str, status: int) -> int:
    _end_quietly()
    # What a file's content brought into it is neither to fill the screen nor to command it.
    message = "".join(c if c.isprintable() else "?" for c in " ".join(message.split()))
    print(f"{Path(sys.argv[0]).name}: error: {message}", file=sys.stderr)
    return status


def _reason(error: OSError) -> str:
    """What the system says, without errno: 'plot/a.jpg: No space left on device'."""
    text = error.strerror or str(error) or type(error).__name__
    # What is printed goes to no file that has a name.
    return f"{error.filename or 'standard output'}: {text}"


def seed_everything(seed: int | None) -> int:
    """Seed Python, numpy and torch; draw a seed where none is given. Prints and returns it."""
    drawn = seed is None
    if drawn:
        seed = secrets.randbelow(1_000_000)
    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    print(f"seed: {seed}" + (f" (drawn; --seed {seed} repeats this run)" if drawn else ""))
    return seed


class Stop:
    """Ctrl-C or SIGTERM end a loop after its step; a second one ends the script at once.

    with Stop() as stop:
        for batch in batches:
            ...
            if stop:
                break

    `stop.status` is then the exit status a shell expects (130 or 143), 0 without a signal.
    """

    def __init__(self):
        self.status = 0

    def __enter__(self) -> Stop:
        self._before = {
            name: signal.signal(name, self._ask) for name in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *exception) -> None:
        for name, handler in self._before.items():
            signal.signal(name, handler)

    def __bool__(self) -> bool:
        return self.status != 0

    def _ask(self, number: int, frame) -> None:
        if self:
            _interrupt(number, frame)
        self.status = 128 + number
        # os.write, not print: a handler may interrupt a print, and print cannot be re-entered.
        with contextlib.suppress(OSError):
            os.write(2, b"\nstopping after this step, to save what there is; once more: at once\n")


class Progress:
    """One line with the time left, on a terminal; nothing at all in a file or a pipe."""

    def __init__(self, total: int):
        self.total = total
        self.shown = sys.stderr.isatty()
        self.start = self.last = time.monotonic()

    def update(self, done: int, text: str) -> None:
        """Tell that `done` of `total` steps are done; `text` says where we are."""
        now = time.monotonic()
        if not self.shown or not done or now - self.last < 0.2:
            return
        self.last = now
        left = round((now - self.start) * (self.total - done) / done)
        print(f"\r\033[K{text}, {left // 60}:{left % 60:02d} left", end="", file=sys.stderr)
        sys.stderr.flush()

    def clear(self) -> None:
        """Wipe the line, before something is printed in its place."""
        if self.shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
