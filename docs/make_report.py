"""Write docs/report.md, the report that the assignment asks for, from the programs' own runs.

    python3 docs/make_report.py                   on Kuzushiji-10k, split 0
    python3 docs/make_report.py --data DIR        on the images in DIR/KMNIST/raw
    python3 docs/make_report.py --quick           a trial: a minute, short training, one seed

Every run is a command that a reader can type; what it printed and drew stays in --work and is used
again, so that an interrupted report goes on where it was. Figures are taken from what the commands
printed: report_text.py has the words around them.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from cli import files, flags, process
from kuzushiji.dataset import load_kmnist, load_kuzushiji10k

ROOT = Path(__file__).resolve().parent.parent
# Training shows a network so many images: ten epochs of KMNIST.
IMAGES = 600_000
SWEEP = "10,20,50,100,200,300"
# A run that ends with 3 has trained without success, which is a result too.
ENDED = (0, 3)


def build_parser() -> flags.Parser:
    parser = flags.Parser(
        description="Write docs/report.md from runs of all three parts; half an hour on two cores."
    )
    parser.add_argument(
        "--data",
        type=flags.path,
        metavar="DIR",
        help="folder of KMNIST/raw (default: none)",
    )
    parser.add_argument(
        "--out", type=flags.path, default=ROOT / "docs", metavar="DIR", help="where report.md goes"
    )
    parser.add_argument(
        "--work",
        type=flags.path,
        default=ROOT / "plot" / "report",
        metavar="DIR",
        help="folder that keeps the runs; delete it, or one of its folders, to run them anew",
    )
    parser.add_argument("--jobs", type=flags.Integer(1, 64), default=2, help="runs at a time")
    parser.add_argument("--quick", action="store_true", help="a trial with short training")
    return parser


# The runs


class Run:
    """A command, what it printed, and the folder it ran in.

    words: as a reader types them after `python3`; status: None until it has run.
    """

    def __init__(self, folder: Path, *words):
        self.folder, self.words = folder, [str(word) for word in words]
        self.status: int | None = None
        self.printed = self.told = ""

    @property
    def command(self) -> str:
        return " ".join(["python3", *self.words])

    @property
    def good(self) -> bool:
        return self.status in ENDED

    @property
    def _record(self) -> Path:
        return self.folder / f"{hashlib.sha256(self.command.encode()).hexdigest()[:12]}.json"

    def recall(self) -> bool:
        """Take the result of an earlier run of the same command; whether there is a good one."""
        try:
            kept = json.loads(self._record.read_text(encoding="utf-8"))
            self.status, self.printed, self.told = kept["status"], kept["printed"], kept["told"]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return self.good

    def go(self) -> None:
        """Run the command in its folder, on one thread, so that runs side by side repeat."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.status, self.printed, self.told = self.result()
        kept = {"command": self.command, "status": self.status, "printed": self.printed}
        files.write(self._record, json.dumps(kept | {"told": self.told}))

    def result(self) -> tuple[int, str, str]:
        """Exit status, output and errors of the command."""
        done = subprocess.run(
            [sys.executable, ROOT / self.words[0], *self.words[1:]],
            cwd=self.folder,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            encoding="utf-8",
        )
        return done.returncode, done.stdout, done.stderr


def plan(args, work: Path, images: list[str], epochs: int) -> dict[str, list[Run]]:
    """All runs, by name; those of one name follow each other in one folder. Long ones first."""
    quick, seeds = args.quick, range(1 if args.quick else 5)
    sweep = ["--sweep", "5,10" if quick else SWEEP, "--epochs", max(1, epochs // 4)]
    part1 = {
        "assignment": ["--compare", "--recipe", "assignment", "--epochs", epochs],
        **{name: ["--net", name, "--epochs", epochs] for name in ("conv", "full", "lin")},
        "sweep": sweep,
    }
    runs = {
        f"kuzu_{name}": [Run(work / name, "kuzu_main.py", *words, "--seed", 0, *images)]
        for name, words in part1.items()
    }
    short = ["--epoch", 10] if quick else []
    for seed in seeds:
        for name, task, epoch in (
            ("anb2n", ["--lang", "anb2n"], 100),
            ("anb2nc3n", ["--lang", "anb2nc3n", "--model", "lstm"], 50),
        ):
            folder, own = work / f"{name}_{seed}", ["--seed", seed]
            hid = ["--hid", 3] if name == "anb2nc3n" else []
            only = [] if seed == 0 else ["--only", "states"]
            epoch = 10 if quick else epoch
            runs[f"{name}_{seed}"] = [
                Run(folder, "seq_train.py", *task, *hid, *short, *own),
                Run(folder, "seq_plot.py", *task, "--epoch", epoch, *own, "--no_show", *only),
            ]
    for name, words in {
        "train": ["--act", "sig", "--hid", 5, "--seed", 0],
        "step": ["--act", "step", "--hid", 4, "--set_weights"],
        "sig": ["--act", "sig", "--hid", 4, "--set_weights"],
        "design": ["--design"],
    }.items():
        runs[f"check_{name}"] = [Run(work / f"check_{name}", "check_main.py", *words)]
    seeds = ["--seeds", 1 if quick else 20, "--course", 0 if quick else 1]
    runs["check_bench"] = [Run(work / "bench", "bench/check.py", "--hid", 5, *seeds)]
    return runs


def carry_out(runs: dict[str, list[Run]], jobs: int) -> None:
    """Run what has no result yet, `jobs` at a time, with a line for each."""
    count, start, ended = sum(map(len, runs.values())), time.monotonic(), 0

    def follow(name: str) -> None:
        nonlocal ended
        for run in runs[name]:
            before = time.monotonic()
            known = run.recall()
            if not known:
                run.go()
            ended += 1
            how = "kept from an earlier run" if known else f"{time.monotonic() - before:.0f} s"
            how += "" if run.good else f", FAILED with status {run.status}"
            print(f"[{ended}/{count}] {run.command}: {how}", flush=True)
            if not run.good:
                break

    if jobs == 1:
        # In the main thread, the only one in which a run inside this process may catch signals.
        for name in runs:
            follow(name)
    else:
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(follow, runs))
    print(f"all runs: {time.monotonic() - start:.0f} s")


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    files.require_writable(args.out)
    work = files.require_writable(args.work).resolve()

    if args.data:
        images, flag = load_kmnist(args.data), ["--data", args.data.resolve()]
    else:
        images, flag = load_kuzushiji10k(0), ["--split", 0]
    epochs = 1 if args.quick else min(100, round(IMAGES / len(images.train)))
    print(f"images: {images.name}, {epochs} epochs")
    runs = plan(args, work, flag, epochs)
    carry_out(runs, args.jobs)

    import report_text

    text = report_text.report(runs, images, epochs, args.out / "img")
    # A reader has the images somewhere else.
    text = text.replace(str(work), "WORK")
    text = text.replace(str(args.data.resolve()), "DIR") if args.data else text
    files.write(args.out / "report.md", text)
    print(f"report: {args.out / 'report.md'}")
    return 0


if __name__ == "__main__":
    process.run(main)
