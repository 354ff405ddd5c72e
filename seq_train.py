"""Part 3: train a recurrent network to predict the next symbol of a language.

    python3 seq_train.py --lang anb2n                              the assignment's SRN
    python3 seq_train.py --lang anb2nc3n --model lstm --hid 3      the assignment's LSTM
    python3 seq_train.py --lang anb2n --recipe assignment          training as in the course
    python3 seq_train.py --lang reber --embed --model lstm         a long-range dependency
    python3 seq_train.py --resume net/anb2n_srn2_40.pth            resume from a checkpoint

The first two succeed with 20 of 20 seeds (bench/seq.py --tasks 1,2 --seeds 20): loss of the SRN
0.0322 (mean; worst 0.0327; required: below 0.05), of the LSTM 0.0098 (0.0101; 0.02), in about 10
and 20 s on one core of an AMD EPYC.

A sequence is five words of a counting language, or one word of Reber's grammars. The printed
"epoch" counts sequences, as in the course's script; --epoch counts thousands of sequences.
"""

from __future__ import annotations

from cli import files, process, settings, training
from cli.process import Progress, Stop, UserError
from cli.settings import Number
from cli.tables import in_short
from cli.training import Run

import argparse
import contextlib
import math
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure

from recurrent import metrics, report
from recurrent.checkpoints import resume
from recurrent.language import Language, Sequences
from recurrent.task import (
    BLOCK,
    FAILED,
    RECIPES,
    Recipe,
    Task,
    build_network,
    check_epoch,
    resolve_recipe,
    resolve_task,
)

# Thousands of training sequences per checkpoint.
CHECKPOINT_EVERY = 10
# Number of last reports whose losses must be below the threshold for success.
SUCCESS_WINDOW = 10
# Number of evaluation sequences in a report between two checkpoints: a quarter of all.
QUICK_EVALUATION = 256


# Flags


def build_parser() -> settings.Parser:
    """Return the parser of the script's flags."""
    parser = settings.Parser(
        description="Train a recurrent network to predict the next symbol of a language.",
        epilog="Defaults of the training flags come from --recipe; the values used are printed. "
        "Status in a report: exact (all deterministic symbols predicted correctly), learned "
        f"(exact, and the loss below the threshold in the last {SUCCESS_WINDOW} reports), stuck "
        f"(the loss fell by less than 1%% over the last {SUCCESS_WINDOW} reports), learning "
        "(otherwise).",
    )
    settings.add_flags(parser, Task)
    parser.add_argument(
        "--epoch",
        type=Number(0, 1_000_000, int),
        help="length of training in thousands of sequences (omitted or 0: depends on language and "
        'network); the printed "epoch" counts single sequences',
    )
    parser.add_argument(
        "--out_path", type=settings.path, default=Path("net"), metavar="DIR",
        help="folder for the checkpoints",
    )  # fmt: skip
    settings.add_common_flags(parser)
    parser.add_argument(
        "--verbose",
        action="store_true",
        help="show a random sequence in each report, instead of the same short word",
    )
    parser.add_argument(
        "--resume",
        type=settings.path,
        metavar="FILE",
        help="resume training from a checkpoint, with its settings (same result as an "
        "uninterrupted run), or start a new run from weights saved by the course's script",
    )
    group = parser.add_argument_group("training")
    group.add_argument(
        "--recipe",
        choices=RECIPES,
        default="tuned",
        help="default values of the flags below: assignment (the course's: SGD, one sequence per "
        "update) or tuned (chosen by experiment)",
    )
    settings.add_flags(group, Recipe)
    return parser


# Training


def sample_block(language: Language, seed: int, block: int) -> Sequences:
    """Return the sequences of block 0, 1, ...; they depend on seed and block only."""
    return language.batch(BLOCK, np.random.default_rng([seed, block]))


def train(run: Run, sequences: Sequences) -> None:
    """Train on a block of sequences."""
    net, size = run.net, run.recipe.batch_at(run.done / run.length)
    sequences = sequences.to(net.V.device)
    # -100: the default ignore_index of cross_entropy.
    targets = sequences.symbols[1:].masked_fill(~sequences.mask, -100)
    for start in range(0, sequences.count, size):
        batch = sequences.part(start, start + size)
        target = targets[: len(batch.mask), start : start + size]
        loss = F.cross_entropy(net(batch.symbols[:-1]).flatten(0, 1), target.flatten())
        share = (run.done + start / sequences.count) / run.length
        training.update(run, loss, share, run.recipe.clip)


def new_run(task: Task, recipe: Recipe, seed: int, epoch: int, device: torch.device) -> Run:
    """Return a Run of `epoch` thousand sequences. The random generators are seeded already."""
    net = build_network(task, recipe).to(device)
    optimizer = training.make_optimizer(recipe, net)
    return Run(asdict(task), recipe, seed, epoch, net, optimizer)


def run_training(run: Run, folder: Path, stop: Stop, example=None) -> Path:
    """Train to the end of the run, or to the end of a block once `stop` is set.

    Reports every 1,000 sequences, saves every 10,000 and at the end in `folder`. example: returns
    the text that a report prints at a number of sequences; None prints no reports. Returns the last
    checkpoint's path. Raises UserError if the loss is not finite.
    """
    task = settings.restore(Task, run.about)
    language, path, progress = task.language, None, Progress(run.length, run.done)
    everything = metrics.evaluation_set(language)
    quick = everything.part(0, QUICK_EVALUATION)
    threshold = metrics.loss_threshold(language, everything)

    def report() -> None:
        # Not where it was interrupted: a resumed run has the reports of an uninterrupted one.
        whole = run.done % CHECKPOINT_EVERY == 0 or run.done == run.length
        record = metrics.evaluate(run.net, language, everything if whole else quick)
        progress.clear()
        if not math.isfinite(record["loss"]):
            raise UserError(
                f"the loss is {record['loss']} after {run.done * BLOCK} sequences: lower --lr "
                f"{run.recipe.lr:g} (last checkpoint: {path})"
            )
        run.reports.append({"seen": run.done * BLOCK} | record)
        if example:
            print_report(run, language, example(run.done * BLOCK), threshold)

    def save() -> Path:
        path = task.checkpoint(folder, run.done)
        training.save(run, path)
        return path

    if not run.reports:
        report()
        path = save()
    while not run.complete and not stop:
        start = time.perf_counter()
        train(run, sample_block(language, run.seed, run.done))
        run.seconds += time.perf_counter() - start
        run.done += 1
        report()
        if run.done % CHECKPOINT_EVERY == 0 and not run.complete:
            path = save()
        progress.update(run.done, task.title)
    return save()


# Reports, results and pictures


def training_status(reports: list[dict], threshold: float) -> str:
    """Return the status of training after its reports so far.

    learned: exact, and the loss was below the threshold in the last 10 reports. exact: all
    deterministic symbols are predicted correctly. stuck: the loss has fallen by less than 1 % over
    the last 10 reports. learning: otherwise.
    """
    losses = [report["loss"] for report in reports]
    if reports[-1]["correct"] == reports[-1]["total"]:
        return "learned" if max(losses[-SUCCESS_WINDOW:]) < threshold else "exact"
    if len(losses) > SUCCESS_WINDOW and losses[-1] > 0.99 * losses[-1 - SUCCESS_WINDOW]:
        return "stuck"
    return "learning"


def example_text(language: Language, seed: int, verbose: bool):
    """Return a function from the number of sequences so far to the example in a report: the same
    short word each time, or a random sequence."""
    words = language.shortest_words(3)

    def text(seen: int) -> str:
        if verbose:
            random = np.random.default_rng([seed, seen, BLOCK])
            return language.to_strings(language.batch(1, random))[0]
        return words[-1]

    return text


def print_report(run: Run, language: Language, text: str, threshold: float) -> None:
    """Print the network's activations on `text`, and the last report."""
    report.print_sequence(run.net, language, text)
    last, status = run.reports[-1], training_status(run.reports, threshold)
    print(f"epoch: {last['seen']}\n loss: {last['loss']:.4f}")
    correct = f"{last['correct']}/{last['total']}"
    print(f" deterministic symbols correct: {correct} ({status})", flush=True)


def training_picture(run: Run, task: Task, results: dict) -> Figure:
    """Return a Figure of loss and accuracy on deterministic symbols against training sequences."""
    threshold, reference = results["loss_threshold"], results["reference_loss"]
    figure = Figure(figsize=(7, 5), dpi=100, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    seen = [report["seen"] / BLOCK for report in run.reports]
    upper.plot(seen, [report["loss"] for report in run.reports], color="tab:blue", label="loss")
    lines = [(threshold, "--", f"threshold {threshold:.3g}")]
    if reference:
        lines.append((reference, ":", f"loss of the sampling probabilities {reference:.4f}"))
    for loss, style, label in lines:
        upper.axhline(loss, color="0.4", linestyle=style, label=label)
    upper.legend(loc="upper right")
    upper.set(yscale="log", ylabel="loss", title=f"{task.title}, language {task.language.name}")
    percent_correct = [100 * report["correct"] / report["total"] for report in run.reports]
    lower.plot(seen, percent_correct, color="tab:orange")
    lower.set(xlabel="sequences (thousands)", ylabel="deterministic symbols\ncorrect (%)")
    lower.set_ylim(top=102)
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    return figure


def run_results(run: Run, task: Task) -> dict:
    """Return the results that --json writes.

    max_loss: the maximum loss in the last 10 reports. max_exact_n: the highest n up to which single
    words and pairs of words are right, for a counting language. remembered: for the embedded
    grammar, of fresh words.
    """
    language, net = task.language, run.net
    sequences = metrics.evaluation_set(language)
    fresh, threshold = metrics.fresh_words(language), metrics.loss_threshold(language, sequences)
    return {
        "task": asdict(task),
        "recipe": settings.applying(run.recipe),
        "seed": run.seed,
        "reports": run.reports,
        "max_loss": max(report["loss"] for report in run.reports[-SUCCESS_WINDOW:]),
        "loss_threshold": threshold,
        "reference_loss": metrics.reference_loss(language, sequences),
        "succeeded": training_status(run.reports, threshold) == "learned",
        "fresh_words": metrics.wrong_words(net, language, fresh),
        "max_exact_n": metrics.max_exact_n(net, language) if language.times else None,
        "remembered": metrics.remembered(net, language, fresh) if language.long_range else None,
        "seconds": run.seconds,
    }


# The script


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    check_epoch(args.epoch)
    # Before training, so that an unwritable path does not cost its result.
    files.require_writable(args.plot)
    files.require_writable(args.out_path)
    if args.json:
        files.require_savable(args.json, "--json")
    # Matrices this small are processed fastest by a single thread.
    torch.set_num_threads(1)
    run = resume(args) if args.resume else start(args)
    task = settings.restore(Task, run.about)
    print(f"{task.title}, language {task.language.name}")
    print(f"recipe: {settings.format_flags(run.recipe)} --epoch {run.length}")
    announce_replacement(task.checkpoint(args.out_path, run.length), run)
    example = example_text(task.language, run.seed, args.verbose)
    with report.course_numbers(), Stop() as stop:
        path = run_training(run, args.out_path, stop, example)
        results = run_results(run, task) | {"checkpoint": path}
        results["sentences"] = report.training_sentences(results, task.language)
        if len(run.reports) > 1:
            picture = training_picture(run, task, results)
            files.save_picture(picture, args.plot / f"{task.stem}_loss.jpg")
        if args.json:
            files.write_json(args.json, results)
    folders = folder_flags(args)
    print(f"checkpoint: {path}")
    print(
        f"to plot it: {settings.command('seq_plot.py', *task.words, '--epoch', run.done, *folders)}"
    )
    if not run.complete:
        print(f"to go on: {settings.command('seq_train.py', '--resume', path, *folders)}")
    print(in_short(results["sentences"]))
    return stop.status or (0 if results["succeeded"] else FAILED)


def announce_replacement(path: Path, run: Run) -> None:
    """Print a line if a run will replace the last checkpoint of a run with other settings."""
    if not path.exists():
        return
    with contextlib.suppress(UserError):
        _, other = files.read_checkpoint(path, "--out_path")
        if other and other.get("seed") != run.seed:
            print(f"this run replaces {path}, of a run with seed {other.get('seed')}")
        elif other and other.get("recipe") != asdict(run.recipe):
            recipe = settings.restore(Recipe, other.get("recipe"))
            print(
                f"this run replaces {path}, of a run with another recipe: "
                f"{settings.format_flags(recipe)}"
            )


def folder_flags(args: argparse.Namespace) -> list[str]:
    """Return --out_path and --plot as typed, if they are not the defaults."""
    folders = {"--out_path": (args.out_path, "net"), "--plot": (args.plot, "plot")}
    return [str(x) for k, (v, default) in folders.items() if str(v) != default for x in (k, v)]


def start(args: argparse.Namespace) -> Run:
    """Return a new Run with the settings of the flags."""
    task = resolve_task(args)
    recipe, seed = resolve_recipe(args, task), process.seed_everything(args.seed)
    return new_run(task, recipe, seed, args.epoch or task.default_epoch, args.device)


if __name__ == "__main__":
    process.run(main)
