"""Runs scripts that are interrupted at given moments; started by test_interruption.py.

Reads a line of JSON for each run: {"script", "words", "folder", "signals": [[seconds, number],
...], "writing"}, and prints its exit status as a shell gives it. All imports are done once; each
run is a fork of this process, so that a moment of a run is a moment of training or saving and not
one of the seconds that importing torch takes. The signals follow each other, each so many seconds
after the one before, the first after the run's first line; with "writing" the first waits until a
file is being written.
"""

import contextlib
import io
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

import kuzu_main
import seq_train
from cli import files, process

MAIN = {"kuzu_main.py": kuzu_main, "seq_train.py": seq_train}
# The longest that a run may take.
PATIENCE = 120


def child(case: dict) -> None:
    """Be the script: its own folder, output and name."""
    os.chdir(case["folder"])
    for name, number in (("out.txt", 1), ("err.txt", 2)):
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
    sys.argv[0] = case["script"]
    status = 99
    try:
        process.run(MAIN[case["script"]].main.__get__(case["words"]))
    except SystemExit as end:
        status = end.code
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def writing(folder: Path) -> bool:
    """Whether a file is being written: it has a temporary name until it is whole."""
    return any(path.name.startswith(".") for path in folder.rglob("*"))


def one(case: dict) -> int:
    folder = Path(case["folder"])
    started = folder / "out.txt"
    begun = started.stat().st_size if started.exists() else 0
    process = os.fork()
    if not process:
        child(case)
    start = time.monotonic()
    waits = [(seconds, number, place) for place, (seconds, number) in enumerate(case["signals"])]
    since = None
    while time.monotonic() - start < PATIENCE:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if since is None and started.exists() and started.stat().st_size > begun:
            since = time.monotonic()
        if since is not None and waits and time.monotonic() - since >= waits[0][0]:
            if case["writing"] and not waits[0][2] and not writing(folder):
                continue
            os.kill(process, waits.pop(0)[1])
            since = time.monotonic()
        # A run needs the processor more than its watcher.
        time.sleep(0.003)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return 124


def main() -> None:
    torch.set_num_threads(1)
    # Once, for what the scripts import late, and torch when it makes its first optimiser.
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        common = ["--plot", folder, "--seed", "0"]
        kuzu_main.main(["--net", "full", "--split", "0", "--epochs", "1", *common])
        seq_train.main(["--epoch", "1", "--out_path", folder, *common])
    # What was written by these is not what a fork has written.
    files.written.clear()
    for line in sys.stdin:
        print(one(json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
