"""Part 3: train a recurrent network to predict the next symbol of a language.

    python3 seq_train.py --lang anb2n                              the assignment's SRN
    python3 seq_train.py --lang anb2nc3n --model lstm --hid 3      the assignment's LSTM
    python3 seq_train.py --lang anb2n --recipe assignment          training as in the course
    python3 seq_train.py --lang reber --embed --model lstm         a long-range dependency
    python3 seq_train.py --resume net/anb2n_srn2_40.pth            resume from a checkpoint

A sequence is five words of a counting language, or one word of Reber's grammars. The printed
"epoch" counts sequences, as in the course's script; --epoch counts thousands of sequences.
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
from recurrent.metrics import (
    MAX_N_TESTED,
    MAX_N_TESTED_PAIRS,
    Score,
    long_range_score,
    max_exact_n,
)
from recurrent.recipes import add_recipe_flags
from recurrent.runs import Run, new_run, resume, save
from recurrent.task import (
    CHECKPOINT_EVERY,
    FAILED,
    REPORT_EVERY,
    add_task_flags,
    folder_flags,
    match_course_number_format,
    print_sequence,
)

# Number of last reports whose losses must be below the threshold for success.
SUCCESS_WINDOW = 10
# Maximum length in symbols of the example word in a report, if the language has words this short.
MAX_EXAMPLE_LENGTH = 12


# Flags


def build_parser() -> flags.Parser:
    """Return the parser of the script's flags."""
    parser = flags.Parser(
        description="Train a recurrent network to predict the next symbol of a language.",
        epilog="Defaults of the training flags come from --recipe; the values used are printed. "
        "Status in a report: exact (all deterministic symbols predicted correctly), learned "
        f"(exact, and the loss below the threshold in the last {SUCCESS_WINDOW} reports), stuck "
        f"(the loss fell by less than 1% over the last {SUCCESS_WINDOW} reports), learning "
        "(otherwise).",
    )
    add_task_flags(parser)
    parser.add_argument(
        "--epoch",
        type=flags.Integer(0, 1_000_000),
        help="length of training in thousands of sequences (omitted or 0: depends on language and "
        'network); the printed "epoch" counts single sequences',
    )
    flags.add_common_flags(parser)
    parser.add_argument(
        "--verbose",
        action="store_true",
        help="show a random sequence in each report, instead of the same short word",
    )
    parser.add_argument(
        "--resume",
        type=flags.path,
        metavar="FILE",
        help="resume training from a checkpoint, with its settings (same result as an "
        "uninterrupted run), or start a new run from weights saved by the course's script",
    )
    add_recipe_flags(parser)
    return parser


# Training


def sample_block(language: Language, seed: int, block: int) -> Sequences:
    """Return the sequences of block 0, 1, ...; they depend on seed and block only."""
    return language.batch(REPORT_EVERY, np.random.default_rng([seed, block]))


def train(run: Run, sequences: Sequences, stop: Stop) -> None:
    """Train on the remaining sequences of a block; return early once `stop` is set."""
    recipe, net, optimizer = run.recipe, run.net, run.optimizer
    batch_size = recipe.batch_at(run.seen // REPORT_EVERY / run.epoch)
    sequences = sequences.to(net.V.device)
    # -100: the default ignore_index of cross_entropy.
    targets = sequences.symbols[1:].masked_fill(~sequences.mask, -100)
    for start in range(run.seen % REPORT_EVERY, sequences.count, batch_size):
        if stop:
            return
        batch = sequences.part(start, start + batch_size)
        target = targets[: len(batch.mask), start : start + batch_size]
        logits = net(batch.symbols[:-1]).logits
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        if recipe.clip:
            clip_grad_norm_(net.parameters(), recipe.clip)
        optimizer.param_groups[0]["lr"] = recipe.lr_at(run.progress)
        optimizer.step()
        run.seen += batch.count


def run_training(run: Run, args: argparse.Namespace, stop: Stop) -> Path:
    """Train to the end of the run or until `stop` is set; return the last checkpoint path.

    Reports every 1,000 sequences, saves every 10,000. Raises UserError if the loss is not finite.
    """
    checkpoint_path = args.resume
    blocks = range(run.seen // REPORT_EVERY, run.epoch)
    progress = Progress(len(blocks))

    def evaluate_and_report() -> None:
        score = run.evaluation.score(run.net)
        progress.clear()
        if not math.isfinite(score.loss):
            raise UserError(
                f"the loss is {score.loss} after {run.seen} sequences: lower --lr "
                f"{run.recipe.lr:g} (last checkpoint: {checkpoint_path})"
            )
        # Within a block: printed only, because an uninterrupted run has no report here.
        if run.seen % REPORT_EVERY == 0:
            run.reports.append((run.seen, score))
        print_report(run, example_text(run, args.verbose), score)

    if not run.reports:
        evaluate_and_report()
        checkpoint_path = save(run, args.out_path)
    for block in blocks:
        start = time.perf_counter()
        train(run, sample_block(run.language, run.seed, block), stop)
        run.seconds += time.perf_counter() - start
        evaluate_and_report()
        if stop or block + 1 == run.epoch or (block + 1) % CHECKPOINT_EVERY == 0:
            checkpoint_path = save(run, args.out_path)
        if stop:
            break
        progress.update(block + 1 - blocks.start, run.task.title)
    return checkpoint_path


# Reports, results and pictures


def training_status(scores: list[Score], loss_threshold: float) -> str:
    """Return the status of training from the Scores of all reports so far.

    learned: exact, and the loss was below the threshold in the last 10 reports. exact: all
    deterministic symbols are predicted correctly. stuck: the loss has fallen by less than 1 % over
    the last 10 reports. learning: otherwise.
    """
    if scores[-1].exact:
        return "learned" if succeeded(scores, loss_threshold) else "exact"
    if len(scores) > SUCCESS_WINDOW and scores[-1].loss > 0.99 * scores[-1 - SUCCESS_WINDOW].loss:
        return "stuck"
    return "learning"


def succeeded(scores: list[Score], loss_threshold: float) -> bool:
    """Return whether the last Score is exact, and the last 10 losses are below the threshold."""
    return scores[-1].exact and all(
        score.loss < loss_threshold for score in scores[-SUCCESS_WINDOW:]
    )


def example_text(run: Run, verbose: bool) -> str:
    """Return the example in a report: the same short word each time, or a random sequence."""
    language = run.language
    if verbose:
        random = np.random.default_rng([run.seed, run.seen, REPORT_EVERY])
        return language.to_strings(language.batch(1, random))[0]
    words = language.all_words or language.words_up_to(MAX_EXAMPLE_LENGTH)
    # With a high minimum length, no word is that short: a random one.
    words = words or language.to_strings(language.batch(1, np.random.default_rng(0)))
    return words[min(2, len(words) - 1)]


def print_report(run: Run, text: str, score: Score) -> None:
    """Print the network's activations on `text`, and its Score."""
    print_sequence(run.net, run.language, text)
    status = training_status(run.scores, run.language.loss_threshold)
    print(f"epoch: {run.seen}\n loss: {score.loss:.4f}")
    print(f" deterministic symbols correct: {score.correct}/{score.total} ({status})", flush=True)


def training_picture(run: Run) -> Figure:
    """Return a Figure of loss and accuracy on deterministic symbols against training sequences."""
    language = run.language
    figure = Figure(figsize=(7, 5), dpi=100, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    seen = [number / REPORT_EVERY for number, _ in run.reports]
    upper.plot(seen, [score.loss for score in run.scores], color="tab:blue")
    upper.axhline(language.loss_threshold, color="0.4", linestyle="--")
    upper.annotate(
        f"threshold {language.loss_threshold:.3g}",
        (1, language.loss_threshold),
        (-4, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
    )
    if run.reference_loss:
        label = f"reference loss {run.reference_loss:.4f}"
        upper.axhline(run.reference_loss, color="0.4", linestyle=":", label=label)
        upper.legend(loc="upper right")
    upper.set(yscale="log", ylabel="loss", title=f"{run.task.title}, language {language.name}")
    percent_correct = [100 * score.correct / score.total for score in run.scores]
    lower.plot(seen, percent_correct, color="tab:orange")
    lower.set(xlabel="sequences (thousands)", ylabel="deterministic symbols\ncorrect (%)")
    lower.set_ylim(top=102)
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    return figure


def run_results(run: Run) -> dict:
    """Return the results that --json writes.

    max_loss: the maximum loss in the last 10 reports. max_exact_n: the highest n up to which single
    words and pairs of words are exact; None if the language is not a counting language.
    """
    language, last = run.language, run.scores[-SUCCESS_WINDOW:]
    return {
        "task": asdict(run.task),
        "recipe": run.recipe.flag_values,
        "seed": run.seed,
        "reports": [{"seen": seen, **asdict(score)} for seen, score in run.reports],
        "max_loss": max(score.loss for score in last),
        "loss_threshold": language.loss_threshold,
        "reference_loss": run.reference_loss,
        "succeeded": succeeded(run.scores, language.loss_threshold),
        "max_exact_n": max_exact_n(run.net, language) if language.times else None,
        "seconds": run.seconds,
    }


def print_summary(run: Run, results: dict) -> None:
    """Print success, reference loss, training time and generalisation."""
    language, last = run.language, run.scores[-SUCCESS_WINDOW:]
    verdict = "succeeded" if results["succeeded"] else "did not succeed"
    print(
        f"training {verdict}: maximum loss in the last {len(last)} evaluations "
        f"{results['max_loss']:.4f} (threshold {language.loss_threshold:.3g}); "
        f"deterministic symbols correct: {last[-1].correct}/{last[-1].total}"
    )
    note = "; after an A the loss compares with 0.8 / 0.2 instead" if run.reference_loss else ""
    print(f"reference loss: {run.reference_loss:.4f} (loss of the sampling probabilities{note})")
    print(f"training time: {run.seconds:.1f} s for {run.seen} sequences")
    if language.times:
        single, pairs = results["max_exact_n"]
        print(
            f"generalisation: trained on n <= {language.max_n}; exact up to n = {single} (single "
            f"words), n = {pairs} (pairs); tested up to n = {MAX_N_TESTED} and {MAX_N_TESTED_PAIRS}"
        )
    elif language.long_range:
        print(f"second-to-last symbol of new words: {long_range_score(run.net, language)}")


# The script


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    # Before training, so that an unwritable path does not cost its result.
    files.require_writable(args.plot)
    files.require_writable(args.out_path)
    if args.json:
        files.require_savable(args.json, "--json")
    match_course_number_format()
    # Matrices this small are processed fastest by a single thread.
    torch.set_num_threads(1)
    run = resume(args) if args.resume else new_run(args)
    print(f"{run.task.title}, language {run.language.name}")
    print(f"recipe: {flags.format_flags(run.recipe.flag_values)} --epoch {run.epoch}")
    with Stop() as stop:
        checkpoint_path = run_training(run, args, stop)
        results = run_results(run)
        print_summary(run, results)
        if len(run.reports) > 1:
            files.save_picture(training_picture(run), args.plot / f"{run.stem}_loss.jpg")
        if args.json:
            files.write_json(args.json, results | {"checkpoint": checkpoint_path})
    folders = "".join(f" {word}" for word in map(shlex.quote, folder_flags(args)))
    print(f"checkpoint: {checkpoint_path}\nto plot it: {run.plot_command}{folders}")
    if stop:
        if run.seen < run.epoch * REPORT_EVERY:
            quoted = shlex.quote(str(checkpoint_path))
            print(f"to go on: python3 seq_train.py --resume {quoted}{folders}")
        return stop.status
    return 0 if succeeded(run.scores, run.language.loss_threshold) else FAILED


if __name__ == "__main__":
    process.run(main)
