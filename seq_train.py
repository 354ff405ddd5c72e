"""Part 3: train a recurrent network to predict the next symbol of a language.

    python3 seq_train.py --lang anb2n                              the brief's SRN
    python3 seq_train.py --lang anb2nc3n --model lstm --hid 3      the brief's LSTM
    python3 seq_train.py --lang anb2n --recipe assignment          as the course trains
    python3 seq_train.py --lang reber --embed --model lstm         a language that needs a memory
    python3 seq_train.py --resume net/anb2n_srn2_40.pth            go on where a run ended

An epoch is one sequence: five words of a counting language, one of Reber's; --epoch counts
thousands of them.
"""

from __future__ import annotations

import argparse
import math
import shlex
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch.nn.utils import clip_grad_norm_

from cli import files, flags, process
from cli.errors import UserError
from cli.process import Progress, Stop
from recurrent.language import Language, Sequences
from recurrent.metrics import MAX_N_TRIED, MAX_N_TRIED_PAIRS, Score, long_range_score, max_exact_n
from recurrent.recipes import add_recipe_flags
from recurrent.runs import Run, new_run, resume, save
from recurrent.task import (
    CHECKPOINT_EVERY,
    FAILED,
    REPORT_EVERY,
    add_task_flags,
    folder_flags,
    print_numbers_as_the_course,
    print_sequence,
)

# Success is a loss below the threshold in this many last reports, and an exact prediction.
SUCCESS_WINDOW = 10
# Symbols of a word that a report shows, at most, where there are any so short.
SHORT = 12


# Flags


def build_parser() -> flags.Parser:
    """The script's flags."""
    parser = flags.Parser(
        description="Train a recurrent network to predict the next symbol of a language.",
        epilog="Flags without a default take the recipe's value, which is printed.",
    )
    add_task_flags(parser)
    parser.add_argument("--epoch", type=flags.Integer(0, 1_000_000), help="thousands of sequences")
    flags.add_common_flags(parser)
    parser.add_argument("--verbose", action="store_true", help="print more of the sequences")
    parser.add_argument(
        "--resume",
        type=flags.path,
        metavar="FILE",
        help="go on from a checkpoint, with its flags; the end is that of an unbroken run",
    )
    add_recipe_flags(parser)
    return parser


# Training


def sample_block(language: Language, seed: int, block: int) -> Sequences:
    """Return the sequences of one block: the same for a seed, however a run came to it."""
    return language.batch(REPORT_EVERY, np.random.default_rng([seed, block]))


def train(run: Run, sequences: Sequences, stop: Stop) -> None:
    """Train on the rest of a block of sequences; ends early when `stop` is asked for."""
    recipe, net, optimizer = run.recipe, run.net, run.optimizer
    size = recipe.batch_at(run.seen // REPORT_EVERY / run.epoch)
    sequences = sequences.to(net.V.device)
    # A symbol of -100 is none: cross entropy leaves it out.
    target = sequences.symbols[1:].masked_fill(~sequences.mask, -100)
    for begin in range(run.seen % REPORT_EVERY, sequences.count, size):
        if stop:
            return
        part = sequences.part(begin, begin + size)
        wanted = target[: len(part.mask), begin : begin + size]
        logits = net(part.symbols[:-1]).logits
        loss = F.cross_entropy(logits.flatten(0, 1), wanted.flatten())
        optimizer.zero_grad()
        loss.backward()
        if recipe.clip:
            clip_grad_norm_(net.parameters(), recipe.clip)
        optimizer.param_groups[0]["lr"] = recipe.lr_at(run.progress)
        optimizer.step()
        run.seen += part.count


def run_training(run: Run, args: argparse.Namespace, stop: Stop) -> Path:
    """Train to the run's end or until `stop`; report every 1,000 sequences, save every 10,000.

    Returns the last checkpoint's path.
    """
    kept = args.resume
    blocks = range(run.seen // REPORT_EVERY, run.epoch)
    progress = Progress(len(blocks))

    def look() -> None:
        now = run.evaluation.score(run.net)
        progress.clear()
        if not math.isfinite(now.loss):
            raise UserError(
                f"the loss is {now.loss} after {run.seen} sequences: lower --lr "
                f"{run.recipe.lr:g}; the last checkpoint is {kept}"
            )
        # A run that is taken up again must not find a report that an unbroken run has not.
        if run.seen % REPORT_EVERY == 0:
            run.reports.append((run.seen, now))
        report(run, shown_text(run, args.verbose), now)

    if not run.reports:
        look()
        kept = save(run, args.out_path)
    for block in blocks:
        start = time.perf_counter()
        train(run, sample_block(run.language, run.seed, block), stop)
        run.seconds += time.perf_counter() - start
        look()
        if stop or block + 1 == run.epoch or (block + 1) % CHECKPOINT_EVERY == 0:
            kept = save(run, args.out_path)
        if stop:
            break
        progress.update(block + 1 - blocks.start, run.task.title)
    return kept


# What is printed and drawn


def training_status(scores: list[Score], loss_threshold: float) -> str:
    """Return the status of training in one word, from the Scores of all reports so far.

    learned: exact, and the loss below the threshold in the last 10 reports; exact: every prediction
    correct now; stuck: the loss is no lower than 10 reports ago; else learning.
    """
    if scores[-1].exact:
        return "learned" if succeeded(scores, loss_threshold) else "exact"
    if len(scores) > SUCCESS_WINDOW and scores[-1].loss > 0.99 * scores[-1 - SUCCESS_WINDOW].loss:
        return "stuck"
    return "learning"


def succeeded(scores: list[Score], loss_threshold: float) -> bool:
    """Whether training succeeded: exact at its end, the loss below the bar in the last reports."""
    return scores[-1].exact and all(
        score.loss < loss_threshold for score in scores[-SUCCESS_WINDOW:]
    )


def shown_text(run: Run, verbose: bool) -> str:
    """Return what a report shows: one short word, always the same, or a random sequence."""
    language = run.language
    if verbose:
        random = np.random.default_rng([run.seed, run.seen, REPORT_EVERY])
        return language.to_strings(language.batch(1, random))[0]
    # Where the shortest words are longer than that: one of those that are sampled.
    words = language.all_words or language.words(SHORT)
    words = words or language.to_strings(language.batch(1, np.random.default_rng(0)))
    return words[min(2, len(words) - 1)]


def report(run: Run, text: str, score: Score) -> None:
    """Print what the network does on `text`, symbol by symbol, and its Score."""
    print_sequence(run.net, run.language, text)
    status = training_status(run.scores, run.language.loss_threshold)
    print(f"epoch: {run.seen}\n loss: {score.loss:.4f}")
    print(f" deterministic symbols correct: {score.correct}/{score.total} ({status})", flush=True)


def curve_picture(run: Run) -> Figure:
    """Return a Figure of the loss and of the share of correct predictions against sequences."""
    language = run.language
    figure = Figure(figsize=(7, 5), dpi=100, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    seen = [number / REPORT_EVERY for number, _ in run.reports]
    upper.plot(seen, [score.loss for score in run.scores], color="tab:blue")
    upper.axhline(language.loss_threshold, color="0.4", linestyle="--")
    upper.annotate(
        f"success below {language.loss_threshold:.3g}",
        (1, language.loss_threshold),
        (-4, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
    )
    if run.floor:
        upper.axhline(run.floor, color="0.4", linestyle=":", label="floor: the true probabilities")
        upper.legend(loc="upper right")
    upper.set(yscale="log", ylabel="loss", title=f"{run.task.title} learns {language.name}")
    shares = [100 * score.correct / score.total for score in run.scores]
    lower.plot(seen, shares, color="tab:orange")
    lower.set(xlabel="thousands of sequences", ylabel="deterministic symbols\ncorrect (%)")
    lower.set_ylim(top=102)
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    return figure


def run_results(run: Run) -> dict:
    """Return a run's results, as --json writes them.

    max_loss: of the last reports, on which success depends; max_exact_n: how far it counts, in
    single words and in pairs of words, None where the language does not count.
    """
    language, last = run.language, run.scores[-SUCCESS_WINDOW:]
    return {
        "task": asdict(run.task),
        "recipe": run.recipe.values,
        "seed": run.seed,
        "reports": [{"seen": seen, **asdict(score)} for seen, score in run.reports],
        "max_loss": max(score.loss for score in last),
        "loss_threshold": language.loss_threshold,
        "loss_floor": run.floor,
        "succeeded": succeeded(run.scores, language.loss_threshold),
        "max_exact_n": max_exact_n(run.net, language) if language.times else None,
        "seconds": run.seconds,
    }


def print_summary(run: Run, results: dict) -> None:
    """Print whether training succeeded, how long it took and how well the network generalises."""
    language, last = run.language, run.scores[-SUCCESS_WINDOW:]
    verdict = "succeeded" if results["succeeded"] else "did not succeed"
    print(
        f"training {verdict}: loss at most {results['max_loss']:.4f} in the last "
        f"{len(last)} reports (threshold: {language.loss_threshold:.3g}), deterministic symbols "
        f"correct: {last[-1].correct}/{last[-1].total}"
    )
    note = "; after an A they are not the 0.8 / 0.2 of the loss, so that a lower loss can belong to"
    print(
        f"loss floor: {run.floor:.4f} (a predictor that knows the true probabilities"
        + (f"{note} a worse network)" if run.floor else ")")
    )
    print(f"time: {run.seconds:.1f} s for {run.seen} sequences")
    if language.times:
        alone, pairs = results["max_exact_n"]
        print(
            f"generalisation: trained on n <= {language.max_n}; exact up to n = {alone} (single "
            f"words), n = {pairs} (pairs); tried up to {MAX_N_TRIED} and {MAX_N_TRIED_PAIRS}"
        )
    elif language.long_range:
        print(f"last symbol but one of fresh words: {long_range_score(run.net, language)}")


# The script


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    # What can be refused is refused before minutes are spent.
    files.require_writable(args.plot)
    files.require_writable(args.out_path)
    if args.json:
        files.require_savable(args.json, "--json")
    print_numbers_as_the_course()
    # More threads than one only wait for each other on matrices as small as these.
    torch.set_num_threads(1)
    run = resume(args) if args.resume else new_run(args)
    print(f"{run.task.title} learns {run.language.name}")
    print(f"recipe: {flags.format_flags(run.recipe.values)} --epoch {run.epoch}")
    with Stop() as stop:
        kept = run_training(run, args, stop)
        results = run_results(run)
        print_summary(run, results)
        if len(run.reports) > 1:
            files.save_picture(curve_picture(run), args.plot / f"{run.stem}_loss.jpg")
        if args.json:
            files.write_json(args.json, results | {"checkpoint": kept})
    folders = "".join(f" {word}" for word in map(shlex.quote, folder_flags(args)))
    print(f"checkpoint: {kept}\nto plot it: {run.plot_command}{folders}")
    if stop:
        if run.seen < run.epoch * REPORT_EVERY:
            print(f"to go on: python3 seq_train.py --resume {shlex.quote(str(kept))}{folders}")
        return stop.status
    return 0 if succeeded(run.scores, run.language.loss_threshold) else FAILED


if __name__ == "__main__":
    process.run(main)
