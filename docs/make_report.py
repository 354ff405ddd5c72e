"""Write docs/report.md, the assignment's report, from runs of the programs.

    python3 docs/make_report.py                   on Kuzushiji-10k, split 0
    python3 docs/make_report.py --data DIR        on the images in DIR/KMNIST/raw
    python3 docs/make_report.py --quick           a test: short training, one seed

Every run is a command that a reader can type. Its output, pictures and --json results are kept in
--work and reused, so that an interrupted report can be continued. The text is report_template.md,
which has placeholders in braces:

    {lin.command}                    the command of a run
    {lin[networks][0][loss]:.4f}     a value of its results
    {section[srn_0_plot][Dynamics]}  its output under a heading
    {picture[kuzu_lin/NAME]}         its picture NAME, by the run's folder
    {sizes[sweep]}                   the text that a function below makes from runs
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import string
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, product
from pathlib import Path
from statistics import mean

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from cli import files, flags, process
from cli.errors import UserError

from kuzushiji.confusion import comparison
from kuzushiji.dataset import CLASSES, load_kmnist, load_kuzushiji10k

ROOT = Path(__file__).resolve().parent.parent
# Training images that a network sees: ten epochs of KMNIST.
IMAGES_SEEN = 600_000
SWEEP = "10,20,50,100,200,300"
NETS = ("lin", "full", "conv")
# Exit statuses of runs with results; 3 is training without success.
COMPLETED = (0, 3)
# Maximum size of a picture in bytes.
MAX_BYTES = 190_000
# The picture of a machine with hundreds of states exceeds pillow's limit.
Image.MAX_IMAGE_PIXELS = None
# Prefixes of headings in printed output, and of lines with paths, which are omitted.
HEADINGS = ("---", "Initial Weights:", "Final Weights:", "Activations:")
PATHS = ("picture: ", "results: ", "for Graphviz: ", "checkpoint: ", "to plot it: ")


def build_parser() -> flags.Parser:
    """Return the script's parser."""
    parser = flags.Parser(
        description="Write docs/report.md from runs of all three parts (20 to 30 min on two cores)."
    )
    parser.add_argument(
        "--data",
        type=flags.path,
        metavar="DIR",
        help="folder with KMNIST/raw (default: Kuzushiji-10k)",
    )
    parser.add_argument(
        "--out", type=flags.path, default=ROOT / "docs", metavar="DIR", help="folder of report.md"
    )
    parser.add_argument(
        "--work",
        type=flags.path,
        default=ROOT / "plot" / "report",
        metavar="DIR",
        help="folder of the runs; delete it, or one of its folders, to repeat them",
    )
    parser.add_argument("--jobs", type=flags.Integer(1, 64), default=2, help="parallel runs")
    parser.add_argument("--quick", action="store_true", help="short training, as a test")
    return parser


# The runs


class Missing(LookupError):
    """A placeholder cannot be filled in, because a run failed."""


class Run:
    """A command with its output and results.

    words: the words after `python3`; status: exit status, None until it has run.
    """

    def __init__(self, folder: Path, *words):
        self.folder, self.words = folder, [str(word) for word in words]
        self.status, self.printed, self.errors, self.results = None, "", "", None

    @property
    def command(self) -> str:
        return " ".join(["python3", *self.words])

    @property
    def good(self) -> bool:
        return self.status in COMPLETED

    @property
    def _record(self) -> Path:
        return self.folder / f"{hashlib.sha256(self.command.encode()).hexdigest()[:12]}.json"

    def require(self) -> None:
        """Raise Missing if the run failed."""
        if not self.good:
            reason = self.errors.strip() or "not run"
            raise Missing(f"`{self.command}` failed: {reason.splitlines()[-1]}")

    def __getitem__(self, name: str):
        """Return a value of the results. Raises Missing if the run failed."""
        self.require()
        return self.results[name]

    def recall(self) -> bool:
        """Load the result of an earlier run of the command; return whether it was successful."""
        try:
            kept = json.loads(self._record.read_text(encoding="utf-8"))
            self.status, self.printed, self.errors, self.results = kept["result"]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return self.good

    def make(self) -> None:
        """Run the command in its folder and save the result."""
        path = self.folder / "results.json"
        self.folder.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self.status, self.printed, self.errors = self.execute([*self.words, "--json", path.name])
        self.results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        result = [self.status, self.printed, self.errors, self.results]
        files.write(self._record, json.dumps({"command": self.command, "result": result}))

    def execute(self, words: list[str]) -> tuple[int, str, str]:
        """Return exit status, output and errors; one thread, so that parallel runs repeat."""
        done = subprocess.run(
            [sys.executable, ROOT / words[0], *words[1:]],
            cwd=self.folder,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            encoding="utf-8",
        )
        return done.returncode, done.stdout, done.stderr


def plan(quick: bool, work: Path, images: list, epochs: int) -> list[dict[str, Run]]:
    """Return all runs by name, in chains of consecutive runs, the longest first."""
    seeds, short = range(1 if quick else 5), ["--epoch", 1] if quick else []
    part1 = {
        "assignment": ["--compare", "--recipe", "assignment", "--epochs", epochs],
        **{net: ["--net", net, "--epochs", epochs] for net in reversed(NETS)},
        "sweep": ["--sweep", "5,10" if quick else SWEEP, "--epochs", max(1, epochs // 4)],
    }
    part2 = {
        "train": ["--act", "sig", "--hid", 5, "--seed", 0],
        "step": ["--act", "step", "--hid", 4, "--set_weights"],
        "sig": ["--act", "sig", "--hid", 4, "--set_weights"],
        "design": ["--design"],
    }
    part3 = {
        "srn": (["--lang", "anb2n"], [], 100),
        "lstm": (["--lang", "anb2nc3n", "--model", "lstm"], ["--hid", 3], 50),
    }
    chains = [
        {name: Run(work / f"kuzu_{name}", "kuzu_main.py", *words, "--seed", 0, *images)}
        for name, words in part1.items()
    ]
    for seed, (name, (task, hid, epoch)) in product(seeds, part3.items()):
        folder, own = work / f"{task[1]}_{seed}", ["--seed", seed]
        only = ["--only", "states"] if seed else []
        shown = [*(short or ["--epoch", epoch]), *own, "--no_show", *only]
        train = Run(folder, "seq_train.py", *task, *hid, *short, *own)
        plot = Run(folder, "seq_plot.py", *task, *shown)
        chains.append({f"{name}_{seed}": train, f"{name}_{seed}_plot": plot})
        if (name, seed) == ("lstm", 0):
            film = Run(folder, "seq_plot.py", *task, *shown, "--only", "film")
            chains[-1]["lstm_0_film"] = film
    chains += [
        {name: Run(work / f"check_{name}", "check_main.py", *words)}
        for name, words in part2.items()
    ]
    return chains


def carry_out(chains: list[dict[str, Run]], jobs: int) -> None:
    """Run all commands without a result, `jobs` chains at a time; print a line for each run."""
    count, start, completed = sum(map(len, chains)), time.monotonic(), 0

    def follow(chain: dict[str, Run]) -> None:
        nonlocal completed
        for run in chain.values():
            before = time.monotonic()
            known = run.recall()
            if not known:
                run.make()
            completed += 1
            note = "result of an earlier run" if known else f"{time.monotonic() - before:.0f} s"
            note += "" if run.good else f", FAILED with status {run.status}"
            print(f"[{completed}/{count}] {run.command}: {note}", flush=True)
            if not run.good:
                break

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(follow, chains))
    print(f"all runs: {time.monotonic() - start:.0f} s")


# Placeholders of the template


def section(run: Run) -> dict[str, str]:
    """Return a run's output by heading: `--- Dynamics ---`, `Activations:`, "report" for `-----`,
    "start" for the lines before the first heading."""
    run.require()
    found, title = {"start": ""}, "start"
    for line in run.printed.splitlines(keepends=True):
        if line.startswith(HEADINGS):
            title = line.strip("-: \n") or "report"
            found[title] = ""
        elif not line.startswith(PATHS):
            found[title] += line
    return {title: text.strip("\n") for title, text in found.items()}


def nets(run: Run) -> list[dict]:
    """Return the results of a run's networks, with the matrix and the reasons as text, and the
    share of a target's images classified as each class, by the names of both."""
    names = run["images"]["classes"]
    return [
        network
        | {
            "matrix": str(np.array(network["matrix"])),
            "reasons": "\n".join(network["reasons"] or ()),
            "share": {
                target: {chosen: count / sum(row) for chosen, count in zip(names, row, strict=True)}
                for target, row in zip(names, network["matrix"], strict=True)
            },
        }
        for network in run["networks"]
    ]


def compared(runs: list[Run]) -> str:
    """Return a table of the most frequent confusions with a column for each run's network."""
    networks = [run["networks"][0] for run in runs]
    matrices = {network["title"]: np.array(network["matrix"]) for network in networks}
    return comparison(matrices, runs[0]["images"]["classes"])


def table(head: list[str], rows: list[list]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def worst(run: Run) -> str:
    """Return the most frequent confusions of a run's network: `na -> o (17 of 200 images)`."""
    confusions = run["networks"][0]["confusions"]
    most = [each for each in confusions if each["count"] == confusions[0]["count"]]
    return ", ".join(
        "{target} -> {chosen} ({count} of {total} images)".format(**each) for each in most
    )


def fewest(run: Run) -> int:
    """Return the smallest number of hidden units that a design found."""
    return run["tried"][-1]["hidden_units"]


def sizes(run: Run) -> str:
    """Return the table of a sweep of hidden units."""
    rows = [
        [each["recipe"]["hid"], each["parameters"], f"{each['accuracy']:.2%}"]
        for each in run["networks"]
    ]
    return table(["hidden units", "parameters", "accuracy"], rows)


def predictions(run: Run) -> str:
    """Return a table of predicted probabilities by the symbols read.

    After A's: the probability of a B. After other symbols: that of the symbol that follows.
    """
    found, sequences = defaultdict(list), run["sequences"]
    alphabet = sorted({symbol for text in sequences for symbol in text["symbols"]})
    for text in sequences:
        read = 0
        steps = zip(pairwise(text["symbols"]), text["probabilities"], strict=True)
        for (symbol, after), row in steps:
            read = read + 1 if symbol == "A" else 0
            key = (f"{read} A", "B") if read else (f"{symbol} followed by {after}", after)
            found[key].append(row[alphabet.index(key[1])])
    rows = [
        [*key, *(f"{of(p):.2f}" for of in (min, mean, max))] for key, p in sorted(found.items())
    ]
    return table(["symbols read", "probability of", "lowest", "mean", "highest"], rows)


def learned(chains: list[tuple[Run, Run]]) -> str:
    """Return a table of training and extracted machine of a recurrent network for several seeds."""
    count = len(chains)
    succeeded = [run["succeeded"] for run, _ in chains]
    losses = [run["max_loss"] for run, _ in chains]
    max_n = [run["max_exact_n"][1] for run, _ in chains]
    seconds = [run["seconds"] for run, _ in chains]
    same = [plot["isomorphic"] for _, plot in chains]
    rows = [
        ["training succeeded", f"{sum(succeeded)} of {count}", ""],
        ["maximum loss of the last 10 evaluations", f"{mean(losses):.4f}", f"{max(losses):.4f}"],
        ["largest n up to which all pairs of words are exact", f"{mean(max_n):.3g}", min(max_n)],
        ["training time (s)", f"{mean(seconds):.0f}", f"{max(seconds):.0f}"],
        ["machine isomorphic to the minimal one", f"{sum(same)} of {count}", ""],
    ]
    return table(["", "mean or count", "worst"], rows)


class View:
    """The text that a function makes from runs, by their name."""

    def __init__(self, make: Callable, runs: dict):
        self.make, self.runs = make, runs

    def __getitem__(self, name: str):
        return self.make(self.runs[name])


class Pictures:
    """The pictures in the run folders of `work`, copied to `folder` when used."""

    def __init__(self, work: Path, folder: Path):
        self.work, self.folder = work, files.require_writable(folder)

    def __getitem__(self, name: str) -> str:
        """Return the report's path of a picture `RUN FOLDER/NAME`. Raises Missing without it."""
        run, picture = name.split("/")
        copy = self.folder / picture
        try:
            shutil.copyfile(self.work / run / "plot" / picture, copy)
        except FileNotFoundError:
            raise Missing(f"{name} does not exist") from None
        # Not for a film, which would lose its frames.
        while copy.suffix == ".jpg" and copy.stat().st_size > MAX_BYTES:
            with Image.open(copy) as image:
                image.thumbnail((0.8 * image.width, 0.8 * image.height))
                image.save(copy, quality=80)
        return f"{self.folder.name}/{copy.name}"


class Filler(string.Formatter):
    """A formatter that shows the reason in place of a placeholder that cannot be filled in."""

    def get_field(self, name: str, args, kwargs):
        try:
            return super().get_field(name, args, kwargs)
        except LookupError as missing:
            return missing, name

    def format_field(self, value, form: str) -> str:
        missing = isinstance(value, LookupError)
        return f"**missing: {value}**" if missing else super().format_field(value, form)


def fill(template: str, runs: dict[str, Run], **values) -> str:
    """Return the template with its placeholders replaced by values of runs and `values`."""
    groups = {"tuned": [runs[name] for name in NETS]}
    for name in ("srn", "lstm"):
        plots = [other for other in runs if other.startswith(name) and other.endswith("plot")]
        groups[name] = [(runs[plot.removesuffix("_plot")], runs[plot]) for plot in plots]
    for make, named in (
        *((make, runs) for make in (section, nets, worst, fewest, sizes, predictions)),
        *((make, groups) for make in (compared, learned)),
    ):
        values[make.__name__] = View(make, named)
    return Filler().vformat(template, (), runs | values)


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    files.require_writable(args.out)
    work = files.require_writable(args.work).resolve()
    images = load_kmnist(args.data) if args.data else load_kuzushiji10k(0)
    if images.classes != CLASSES:
        raise UserError(
            f"--data {args.data}: not KMNIST's ten characters, which the report is about"
        )
    epochs = 1 if args.quick else min(100, round(IMAGES_SEEN / len(images.train)))
    print(f"images: {images.name}, {epochs} epochs")
    flag = ["--data", args.data.resolve()] if args.data else ["--split", 0]
    chains = plan(args.quick, work, flag, epochs)
    carry_out(chains, args.jobs)
    runs = {name: run for chain in chains for name, run in chain.items()}
    pictures = Pictures(work, args.out / "img")
    template = Path(__file__).with_name("report_template.md").read_text(encoding="utf-8")
    data = " DIR stands for the folder with the images." if args.data else ""
    values = {"images": images.name, "epochs": epochs, "data": data}
    text = fill(template, runs, picture=pictures, **values)
    text = text.replace(str(args.data.resolve()), "DIR") if args.data else text
    files.write(args.out / "report.md", text.replace(str(work), "WORK"))
    print(f"report: {args.out / 'report.md'}")
    return 0


if __name__ == "__main__":
    process.run(main)
