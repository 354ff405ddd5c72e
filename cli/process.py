"""How every script here behaves: it can be repeated, it fails in one line, it loses no file.

`run(main)`          ends the process with the right status; no traceback reaches a user.
`Fault`              an error that the user can mend, told in one line.
`Parser`, `integer`, `number`, `path`   flags whose bad values are refused by name.
`seed_everything`    one seed decides a run, and is printed.
`replacing`, `save_picture`     a file appears whole or not at all.
`Stop`               Ctrl-C ends a loop after its step, so that what was learned is kept.
`Progress`           the time left, shown on a terminal only.

Only the standard library is imported here; torch and matplotlib are imported by the functions
that need them, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import os
import random
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import torch


class Fault(Exception):
    """An error that the user can mend: `run` prints it as one line.

    status: exit status of the script; 2 when the flags are wrong, 1 for anything else.
    """

    def __init__(self, message: str, status: int = 1):
        super().__init__(message)
        self.status = status


class Terminated(KeyboardInterrupt):
    """SIGTERM, which a machine sends that is shut down."""


# The files that this run has written so far; an interruption tells of the last one.
_written: list[Path] = []


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
    except Fault as fault:
        status = _complain(str(fault), fault.status)
    except KeyboardInterrupt as interrupt:
        kept = f"{_written[-1]} was the last file saved" if _written else "nothing was saved"
        status = 143 if isinstance(interrupt, Terminated) else 130
        status = _complain(f"interrupted; {kept}", status)
    except BrokenPipeError:
        # The reader of our output has left (`| head`): no error.
        _abandon_output()
        status = 0
    except OSError as error:
        status = _complain(_reason(error), 1)
        _abandon_output()
    except SyntaxError as error:
        # check.py asks its reader to edit it, and a bracket is soon lost.
        status = _complain(f"{error.filename}, line {error.lineno}: {error.msg}", 1)
    except (MemoryError, RuntimeError) as error:
        # torch has a class of its own for it on a GPU, none on the CPU.
        allocator = ("OutOfMemoryError", "DefaultCPUAllocator")
        if not isinstance(error, MemoryError) and not any(
            name in f"{type(error).__name__} {error}" for name in allocator
        ):
            raise
        status = _complain("not enough memory for a network of this size; choose a smaller one", 1)
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


def _complain(message: str, status: int) -> int:
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


# Flags


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the defaults that tell a reader something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, False):
            return action.help
        return super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """argparse as a student needs it: defaults in the help, one line for an error."""

    def __init__(self, **options):
        super().__init__(formatter_class=_Help, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        raise Fault(f"{message} (see --help)", status=2)

    def value(self, name: str, value):
        """What `--name value` gives: the check of a value that was read from a file, or Fault."""
        value = ",".join(map(str, value)) if isinstance(value, (tuple, list)) else value
        return getattr(self.parse_args([f"--{name}={value}"]), name)


def integer(low: int, high: int) -> Callable[[str], int]:
    """An argparse type: a whole number from `low` to `high`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return value

    return parse


def number(low: float, high: float, *, above: bool = False) -> Callable[[str], float]:
    """An argparse type: a number of at least (or, with `above`, above) `low`, at most `high`.

    nan and inf are refused.
    """

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high or (above and value == low):
            wanted = f"{'above' if above else 'at least'} {low:g} and at most {high:g}"
            raise argparse.ArgumentTypeError(f"{text!r} is not a number {wanted}")
        return value

    return parse


def path(text: str) -> Path:
    """An argparse type: the path of a file or folder; nothing at all is none."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is no path")
    return Path(text)


def several(one: Callable, count: int | None = None) -> Callable[[str], tuple]:
    """An argparse type: values of the type `one` with commas between them, `count` if given."""

    def parse(text: str) -> tuple:
        values = tuple(one(part.strip()) for part in text.split(","))
        if count is not None and len(values) != count:
            raise argparse.ArgumentTypeError(f"{text!r} has {len(values)} numbers, not {count}")
        return values

    return parse


def add_common_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that every script here has: --seed, --plot, --device and --no_cuda."""
    parser.add_argument(
        "--seed",
        type=integer(0, 2**32 - 1),
        help="repeats a run: same seed, same output (default: drawn and printed)",
    )
    parser.add_argument(
        "--plot", type=path, default=Path("plot"), metavar="DIR", help="folder for the pictures"
    )
    parser.add_argument(
        "--device", type=device, metavar="NAME", help="where to compute: cpu, cuda, mps, ..."
    )
    parser.add_argument(
        "--no_cuda",
        dest="device",
        action="store_const",
        const=device("cpu"),
        help="the course's name for --device cpu",
    )


def device(text: str) -> torch.device:
    """An argparse type: where torch can compute, like cpu or cuda:0."""
    import torch

    try:
        found = torch.device(text)
        # Some devices take numbers and give none back.
        torch.zeros(1, device=found).item()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise argparse.ArgumentTypeError(f"{text!r} cannot be used: {reason}") from None
    return found


def choose_device(chosen: torch.device | None, default: str = "cpu") -> torch.device:
    """Return the device of --device, `default` where none is given."""
    import torch

    return chosen or torch.device(default)


def add_switch(group, flag: str, help: str) -> None:
    """Add a flag that is on as `--flag` or `--flag True`, off as `--flag False`, else None."""

    def parse(text: str) -> bool:
        if text.lower() not in ("true", "false"):
            raise argparse.ArgumentTypeError(f"{text!r} is neither True nor False")
        return text.lower() == "true"

    group.add_argument(flag, type=parse, nargs="?", const=True, metavar="True|False", help=help)


def as_flags(values: dict) -> str:
    """Flags with their values, to be typed again: '--optim sgd --lr 0.01 --filters 24,64'."""
    words = []
    for name, value in values.items():
        value = ",".join(map(str, value)) if isinstance(value, tuple) else value
        words.append(f"--{name} {value}")
    return " ".join(words)


# Repeatable


def seed_everything(seed: int | None) -> int:
    """Seed Python, numpy and torch; draw a seed where none is given. Prints and returns it."""
    import numpy
    import torch

    drawn = seed is None
    if drawn:
        seed = secrets.randbelow(1_000_000)
    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    print(f"seed: {seed}" + (f" (drawn; --seed {seed} repeats this run)" if drawn else ""))
    return seed


# Files


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write `path` whole or not at all.

    Yields a temporary path in the same folder; when the block ends well it is renamed to `path`,
    otherwise it is removed and what stood at `path` before stays. Raises Fault if it cannot be
    written.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if what := _in_the_way(path):
            raise Fault(f"cannot write {path}: it is {what}")
        # The name keeps its ending: matplotlib tells the format by it.
        handle, name = tempfile.mkstemp(suffix=path.suffix, prefix=".", dir=path.parent)
        temporary = Path(name)
        # mkstemp makes files private; ours get what an ordinary new file would have.
        os.close(handle)
        os.chmod(temporary, 0o666 & ~_umask())
        yield temporary
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
        _written.append(path)
    except OSError as error:
        raise Fault(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _in_the_way(path: Path) -> str:
    """What stands at `path` and may not be replaced by a file; "" if nothing does."""
    if path.is_dir():
        return "a folder"
    # As root, a file would take the place even of /dev/null.
    return "no ordinary file" if path.exists() and not path.is_file() else ""


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def require_writable(folder: str | Path) -> Path:
    """Make `folder` and check that files can be made in it, before hours are spent. Or Fault."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        # mkdir has found something else in its place.
        exists = isinstance(error, FileExistsError)
        reason = "it is not a folder" if exists else error.strerror or error
        raise Fault(f"cannot write into {folder}: {reason}") from error
    return folder


def require_savable(path: Path, flag: str) -> Path:
    """Make the folder of `path` and check that a file can be written there; or Fault."""
    try:
        require_writable(path.parent)
    except Fault as fault:
        raise Fault(f"{flag} {path}: {fault}") from fault
    if what := _in_the_way(path):
        raise Fault(f"{flag} {path} is {what}; a file name is needed")
    return path


def write(path: str | Path, content: bytes | str) -> None:
    """Write a file whole or not at all, text as UTF-8; Fault if it cannot be written."""
    content = content.encode("utf-8") if isinstance(content, str) else content
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def require_file(path: Path, flag: str) -> Path:
    """Fault, naming `flag`, unless there is an ordinary file: reading another may never end."""
    if not path.exists():
        raise Fault(f"{flag} {path}: there is no such file")
    if not path.is_file():
        raise Fault(f"{flag} {path}: this is no file")
    return path


def save_picture(figure, path: str | Path) -> None:
    """Save a matplotlib Figure at `path`, atomically, and say so."""
    # In memory first: on a full disk the library that writes JPEG files leaves half a picture and
    # does not tell.
    buffer = io.BytesIO()
    figure.savefig(buffer, format=Path(path).suffix[1:])
    write(path, buffer.getvalue())
    print(f"picture: {path}")


# Long runs


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
