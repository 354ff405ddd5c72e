"""Write docs/report.md from runs of all three parts.

    python3 docs/make_report.py [--work DIR] [--jobs 2] [--quick]

Runs the commands below with --json, two at a time, and fills docs/report_template.md (jinja2) with
their results; a value that is missing is an error. A run whose results are in --work is not
repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jinja2
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cli import files, process, settings
from cli.process import UserError
from cli.tables import processor

ROOT = Path(__file__).resolve().parent.parent
# Maximum size of a picture in the report, in bytes.
MAX_BYTES = 150_000
# Exit statuses of a complete run: success, and training without success.
COMPLETE = (0, 3)
SPLIT = "--split 0 --seed 0"
SRN, LSTM = "--lang anb2n", "--lang anb2nc3n --model lstm"


def commands(quick: bool) -> list[dict[str, str]]:
    """Return the commands by name, in chains of consecutive ones that share a folder."""
    epochs, seeds, short = (1, 1, " --epoch 1") if quick else (75, 5, "")
    chains = [
        {net: f"kuzu_main.py --net {net} {SPLIT} --epochs {epochs}"}
        for net in ("conv", "full", "lin")
    ]
    sweep = "5,10" if quick else "10,20,50,100,200,300"
    chains.append({"sweep": f"kuzu_main.py --sweep {sweep} {SPLIT} --epochs {max(1, epochs // 4)}"})
    for seed in range(seeds):
        for name, task, hid, epoch in (("srn", SRN, "", 100), ("lstm", LSTM, " --hid 3", 50)):
            only = "" if seed == 0 else " --only states"
            plot = f"{task} --epoch {1 if quick else epoch} --seed {seed} --no_show{only}"
            chains.append(
                {
                    f"{name}{seed}": f"seq_train.py {task}{hid}{short} --seed {seed}",
                    f"{name}{seed}_plot": f"seq_plot.py {plot}",
                }
            )
            if (name, seed) == ("lstm", 0):
                chains[-1]["film"] = f"seq_plot.py {plot} --only film"
    for name, task in (("reber", "--lang reber"), ("embed", "--lang reber --embed --model lstm")):
        plot = f"seq_plot.py {task}{short} --no_show --only states"
        chains.append({name: f"seq_train.py {task}{short} --seed 0", f"{name}_plot": plot})
    chains += [
        {"sig5": "check_main.py --act sig --hid 5 --seed 0"},
        {"step": "check_main.py --act step --hid 4 --set_weights"},
        {"sig4": "check_main.py --act sig --hid 4 --set_weights"},
        {"design": "check_main.py --design"},
    ]
    return chains


def run_chain(chain: dict[str, str], work: Path) -> None:
    """Run commands one after the other in a folder of their own, unless their results exist.

    Raises UserError with the last line of its errors if one fails.
    """
    folder = work / next(iter(chain))
    folder.mkdir(parents=True, exist_ok=True)
    for name, command in chain.items():
        results = folder / f"{name}.json"
        if results.exists():
            continue
        script, *words = command.split()
        done = subprocess.run(
            [sys.executable, ROOT / script, *words, "--json", results.name],
            cwd=folder,
            # One thread each, so that runs side by side repeat.
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            encoding="utf-8",
        )
        if done.returncode not in COMPLETE or not results.exists():
            raise UserError(f"{command} failed: {(done.stderr.splitlines() or ['?'])[-1]}")
        print(f"python3 {command}", flush=True)


class Pictures:
    """The pictures of the runs, copied to `folder`, smaller if they are large."""

    def __init__(self, work: Path, folder: Path):
        self.work, self.folder = work, files.require_writable(folder)

    def __call__(self, run: str, name: str, what: str) -> str:
        """Return a picture in Markdown: the file `name` of a run, described as `what`."""
        source, copy = self.work / run / "plot" / name, self.folder / name
        if not source.exists():
            raise UserError(f"the report's picture {source} does not exist")
        shutil.copyfile(source, copy)
        # Not a film, which would lose its frames.
        while copy.suffix == ".jpg" and copy.stat().st_size > MAX_BYTES:
            with Image.open(copy) as image:
                image.thumbnail((0.85 * image.width, 0.85 * image.height))
                image.save(copy, quality=85)
        return f"![{what}]({self.folder.name}/{name})"


def seeds_of(runs: dict, name: str) -> dict:
    """Return what several seeds of a recurrent network give: counts, mean and worst."""
    trained = [runs[key] for key in runs if key[:-1] == name and key[-1].isdigit()]
    plots = [runs[key] for key in runs if key.startswith(name) and key.endswith("_plot")]
    losses = [run["max_loss"] for run in trained]
    return {
        "count": len(trained),
        "succeeded": sum(run["succeeded"] for run in trained),
        "mean": statistics.mean(losses),
        "worst": max(losses),
        "isomorphic": sum(run["isomorphic"] for run in plots),
        "exact": [run["max_exact_n"][1] for run in trained],
    }


def main(argv: list[str] | None = None) -> int:
    parser = settings.Parser(description="Write docs/report.md from runs of all three parts.")
    add = parser.add_argument
    add("--out", type=settings.path, default=ROOT / "docs", metavar="DIR", help="of report.md")
    add("--work", type=settings.path, default=ROOT / "plot" / "report", metavar="DIR",
        help="folder of the runs; delete it, or one of its folders, to repeat them")  # fmt: skip
    add("--jobs", type=settings.Number(1, 64, int), default=2, help="parallel runs")
    add("--quick", action="store_true", help="short training, as a test")
    args: argparse.Namespace = parser.parse_args(argv)
    files.require_writable(args.out)
    work, chains = files.require_writable(args.work).resolve(), commands(args.quick)
    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(lambda chain: run_chain(chain, work), chains))
    runs, lines = {}, {}
    for chain in chains:
        for name, command in chain.items():
            text = (work / next(iter(chain)) / f"{name}.json").read_text(encoding="utf-8")
            runs[name], lines[name] = json.loads(text), f"python3 {command}"
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = Path(__file__).with_name("report_template.md").read_text(encoding="utf-8")
    values = runs | {"command": lines, "zip": zip, "picture": Pictures(work, args.out / "img")}
    values |= {"processor": processor(), "seeds": {k: seeds_of(runs, k) for k in ("srn", "lstm")}}
    try:
        text = environment.from_string(template).render(values)
    except jinja2.UndefinedError as error:
        raise UserError(f"docs/report_template.md: {error}") from None
    files.write(args.out / "report.md", text.rstrip() + "\n")
    # The page of the LSTM, to play with without training anything.
    shutil.copyfile(work / "lstm0" / "plot" / "anb2nc3n_lstm3.html", args.out / "lstm.html")
    print(f"report: {args.out / 'report.md'}")
    return 0


if __name__ == "__main__":
    process.run(main)
