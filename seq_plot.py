"""Part 3: analyse a trained recurrent network: print and draw what it has learned.

    python3 seq_plot.py --lang anb2n --epoch 100                       the assignment's SRN
    python3 seq_plot.py --lang anb2nc3n --model lstm --epoch 50        the assignment's LSTM
    python3 seq_plot.py --load FILE                                    any SRN or LSTM

Reads a checkpoint of seq_train.py or of the course's script, or trains the network first. Sections:
weights and activations (scatter), the machine on the words (states), counting and maps of symbols
(dynamics), units over time (context), a page in which the network runs (page), a film (film).
"""

from __future__ import annotations

from cli import files, process, settings
from cli.process import Stop, UserError
from cli.settings import CommaSeparated, Number
from cli.tables import in_short, table

import argparse
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

import seq_train
from recurrent import checkpoints, diagrams, dynamics, extraction, film, metrics, pictures, report
from recurrent.extraction import Extraction, States
from recurrent.language import Language
from recurrent.page import page, page_data
from recurrent.task import (
    Recipe,
    Task,
    check_epoch,
    check_words,
    resolve_recipe,
    resolve_task,
)
from seq_models import LSTM, SRN

SECTIONS = ("scatter", "states", "dynamics", "context", "page", "film")
# All but film, because it takes as long as the others together.
DEFAULT_SECTIONS = SECTIONS[:-1]
# Maximum number of hidden units of which all pairs are drawn: 8 units have 28, a picture each.
MAX_HIDDEN = 8
# Maximum number of checkpoints listed when one is missing.
MAX_LISTED = 12


# Flags


def build_parser() -> settings.Parser:
    """Return the parser of the script's flags."""
    parser = settings.Parser(
        description="Analyse a network trained by seq_train.py: print and draw its activations, "
        "its machine, how it counts, and its units. A missing checkpoint is trained first."
    )
    settings.add_flags(parser, Task)
    parser.add_argument(
        "--epoch",
        type=Number(0, 1_000_000, int),
        help="checkpoint, in thousands of training sequences (default: the last one of a run with "
        "default settings)",
    )
    out_path = dict(type=settings.path, default=Path("net"), metavar="DIR")
    parser.add_argument("--out_path", help="folder of the checkpoints", **out_path)
    parser.add_argument(
        "--load",
        type=settings.path,
        metavar="FILE",
        help="analyse the network in this file, whatever its name: ours, the course's, or a "
        "state_dict of nn.RNN or nn.LSTM with a linear output layer",
    )
    parser.add_argument(
        "--num_plot",
        type=Number(1, 1000, int),
        default=10,
        help="random sequences to print and to plot as dots",
    )
    parser.add_argument(
        "--words",
        type=CommaSeparated(str.upper),
        metavar="TEXT,...",
        help="print the activations on these texts instead, such as AABBBB,AAAB, and draw the "
        "units over time on the longest",
    )
    settings.add_common_flags(parser)
    parser.add_argument(
        "--only",
        type=CommaSeparated(_section),
        default=",".join(DEFAULT_SECTIONS),
        metavar="SECTION,...",
        help="sections to print and draw: scatter (weights, activations), states (machine), "
        "dynamics (counting, maps of symbols), context (units over time), page (the network in a "
        "browser), film",
    )
    parser.add_argument(
        "--context", action="store_true", help="lstm: print context units as well as hidden units"
    )
    show = parser.add_mutually_exclusive_group()
    show.add_argument(
        "--show",
        action="store_true",
        help="open a window with a rotatable 3D plot, if there are 3 or more hidden units and a "
        "screen (default)",
    )
    show.add_argument("--no_show", action="store_true", help="open no window")
    return parser


def _section(text: str) -> str:
    if text not in SECTIONS:
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(SECTIONS)}")
    return text


# Finding the network


def find_checkpoint(task: Task, epoch: int, args: argparse.Namespace) -> Path:
    """Return the path of the checkpoint of the flags; train the network if there is none at all.

    Raises UserError if the folder has other checkpoints of the language, because one of them may be
    meant, or if training is interrupted.
    """
    path = task.checkpoint(args.out_path, epoch)
    if path.exists():
        return path
    # The course's name of an embedded network is without _embed, as ours of a plain one.
    course = path.with_name(path.name.replace("_embed", ""))
    if task.embed and course.exists() and not checkpoints.read_network(course, "checkpoint")[1]:
        return course
    check_epoch(epoch)
    others = checkpoints.matches(args.out_path, task.language.name)
    if others:
        listed = ", ".join(others[:MAX_LISTED]) + (", ..." if len(others) > MAX_LISTED else "")
        words = [*task.words, *_epoch_words(task, epoch), *seq_train.folder_flags(args)]
        command = settings.command("seq_train.py", *words)
        raise UserError(
            f"{path} does not exist, but {args.out_path} has {listed}: choose one by --model, "
            f"--hid and --epoch, or by --load FILE, or train this one by {command}"
        )
    return train_first(task, epoch, args)


def _epoch_words(task: Task, epoch: int) -> list[str]:
    """Return --epoch for a training run that saves checkpoint `epoch`; none if a default run does,
    so that checkpoint 50 is halfway through a run of 100, and not the end of a shorter one."""
    saved = epoch % seq_train.CHECKPOINT_EVERY == 0 and epoch <= task.default_epoch
    return [] if saved else ["--epoch", str(epoch)]


def train_first(task: Task, epoch: int, args: argparse.Namespace) -> Path:
    """Train a network as seq_train.py does; print its command and its time; return the path of
    checkpoint `epoch`. Raises UserError if training is interrupted; the checkpoints are kept."""
    files.require_writable(args.out_path)
    seed = process.seed_everything(args.seed)
    words = [*task.words, *_epoch_words(task, epoch), "--seed", seed]
    words += seq_train.folder_flags(args)
    path = task.checkpoint(args.out_path, epoch)
    command = settings.command("seq_train.py", *words)
    print(f"{path} does not exist; training the network first: {command} ...", end="", flush=True)
    begun = time.monotonic()
    length = epoch if _epoch_words(task, epoch) else task.default_epoch
    defaults = argparse.Namespace(recipe="tuned", **dict.fromkeys(settings.flag_names(Recipe)))
    recipe = resolve_recipe(defaults, task)
    run = seq_train.new_run(task, recipe, seed, length, args.device)
    with Stop() as stop:
        saved = seq_train.run_training(run, args.out_path, stop)
    print(f" {time.monotonic() - begun:.1f} s", flush=True)
    if not run.complete:
        resume = settings.command("seq_train.py", "--resume", saved)
        raise UserError(f"interrupted; {saved} is saved; to go on: {resume}", status=stop.status)
    return path


@dataclass
class Analysis:
    """A network, the language it has learned, and what is printed and drawn of it.

    states: on the evaluation set; extraction: the machine on these words; sampled: the random
    sequences that are printed and plotted as dots; results: all that --json writes.
    """

    net: SRN | LSTM
    task: Task
    title: str
    folder: Path
    states: States
    extraction: Extraction
    plane: extraction.Plane
    sampled: States
    texts: list[str]
    results: dict

    @property
    def language(self) -> Language:
        return self.task.language

    def save(self, figure, name: str) -> None:
        files.save_picture(figure, self.folder / f"{self.task.stem}_{name}.jpg")


# Sections


def show_scatter(found: Analysis, args: argparse.Namespace) -> None:
    """Print weights and activations, draw scatter plots of hidden units."""
    net, language, title, dots = found.net, found.language, found.title, found.sampled
    for name, weights in net.state_dict().items():
        print(f"{name}:\n{weights.cpu().numpy()}")
    printed = [report.print_sequence(net, language, text, args.context) for text in found.texts]
    found.results["sequences"] = printed
    start = found.states.vectors[0] if net.blocks == 1 else None
    for pair in _pairs(net.hid):
        figure = pictures.pair_picture(
            dots.vectors, dots.number, pair, "hidden unit", title, language, start
        )
        found.save(figure, "{}{}".format(*pair))
    if net.hid > 2:
        found.save(_cube(found, context=False), "3d")


def _pairs(hid: int) -> list[tuple[int, int]]:
    """Return all pairs j < k of units; of more than MAX_HIDDEN units print that, and return only
    (0, 1), (2, 3), ..."""
    if hid > MAX_HIDDEN:
        pairs = hid * (hid - 1) // 2
        print(f"pictures of units 0 and 1, 2 and 3, ... only: {hid} units have {pairs} pairs")
        return [(unit, unit + 1) for unit in range(0, hid - 1, 2)]
    return [(one, other) for one in range(hid) for other in range(one + 1, hid)]


def _cube(found: Analysis, context: bool, figure=None):
    """Draw the 3D picture of hidden or context units."""
    net, dots = found.net, found.sampled
    values = dots.vectors[:, net.hid :] if context else dots.vectors[:, : net.hid]
    return pictures.cube_picture(
        net, values, dots.number, context, found.title, found.language, figure
    )


def show_states(found: Analysis, args: argparse.Namespace) -> None:
    """Print and draw the machine on the words, and compare it with the language's."""
    language, machine, drawn = found.language, found.extraction.machine, _is_drawn(found)
    print("\nMachine on the words: states of the network that no continuation tells apart are one")
    if drawn:
        found.results["machine"] = extraction.transition_records(machine)
        print(table(found.results["machine"]))
    else:
        right = found.results["fresh_words"]
        print(
            f"{machine.count} states, more than {extraction.MAX_DRAWN}: no table and no picture; "
            f"the network is right on {right['words'] - right['wrong']} of {right['words']} words"
        )
    print(report.mistake_sentence(found.results, language))
    title = f"States: {found.title}"
    what = (found.states, found.extraction, language, found.plane)
    figure = diagrams.states_picture(*what, title, named=drawn)
    found.save(figure, "states")
    if drawn:
        picture = diagrams.machine_picture(machine, f"Machine on the words: {found.title}")
        found.save(picture, "fsm")


def _is_drawn(found: Analysis) -> bool:
    return found.extraction.machine.count <= extraction.MAX_DRAWN


def show_dynamics(found: Analysis, args: argparse.Namespace) -> None:
    """Print and draw how the network counts: margins, and the maps of the symbols."""
    net, language, results = found.net, found.language, found.results
    if language.times:
        found.save(
            pictures.countdown_picture(net, language, f"Countdown: {found.title}"), "countdown"
        )
    if "fixed_points" not in results:
        return
    print(
        "\nFixed points found of each symbol's map (not found is not none); distance from the "
        "words,\nand after ten more of the symbol"
    )
    points = results["fixed_points"]
    print(report.point_table(points) or "none found")
    if report.slow_sentence(results, language):
        points = [*points, results["slow_point"]]
    if net.hid == 2:
        symbols = np.unique(found.states.symbol[1:]).tolist()
        title = f"Map of each symbol: {found.title}"
        picture = pictures.maps_picture(net, language, symbols, points, title)
        found.save(picture, "dynamics")


def show_context(found: Analysis, args: argparse.Namespace) -> None:
    """Print and draw the units over time, and which of them count."""
    net, language, dots, results = found.net, found.language, found.sampled, found.results
    name = results["unit_name"]
    if language.times:
        shown = [
            row
            for row in results["counters"]
            if max(row["read_r2"], row["left_r2"] or 0) >= dynamics.MIN_SHOWN
        ]
        print(f"\nStraight lines through each {name} (change at each symbol, R² >= 0.5 shown)")
        formats = {"read": "+.2f", "left": "+.2f", "read_r2": ".3f", "left_r2": ".3f"}
        print(table(shown, formats) or "none")
        print(f"\nWords right while a {name} keeps its value during a run")
        print(table(results["ablations"]))
    if net.blocks > 1 and net.hid == 2:
        figure = pictures.pair_picture(
            dots.vectors[:, net.hid :], dots.number, (0, 1), "context unit", found.title, language
        )
        found.save(figure, "context_01")
    elif net.blocks > 1 and net.hid > 2:
        found.save(_cube(found, context=True), "context_3d")
    title, own = f"Units over time: {found.title}", max(args.words or ("",), key=len)
    found.save(pictures.time_picture(net, language, title, own), "time")


def show_page(found: Analysis, args: argparse.Namespace) -> None:
    """Write a page in which the network runs."""
    data = page_data(
        found.net, found.language, found.states, found.extraction, found.title, _is_drawn(found)
    )
    path = found.folder / f"{found.task.stem}.html"
    files.write(path, page(data))
    print(f"page: {path} (open it in a browser)")


def show_film(found: Analysis, args: argparse.Namespace) -> None:
    """Make a film of the network and its machine reading a few words."""
    if not _is_drawn(found):
        print(f"no film: the machine has more than {extraction.MAX_DRAWN} states")
        return
    what = (found.states, found.extraction, found.plane, found.title)
    content = film.make_film(found.net, found.language, *what)
    path = found.folder / f"{found.task.stem}_film.gif"
    files.write(path, content)
    print(f"film: {path}")


# The script


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    files.require_writable(args.plot)
    if args.json:
        files.require_savable(args.json, "--json")
    # More threads are slower on matrices this small, because they wait for each other.
    torch.set_num_threads(1)
    if args.load:
        path, flag = args.load, "--load"
    else:
        task = resolve_task(args)
        # Before a network is trained.
        check_words(task.language, args.words)
        epoch = task.default_epoch if args.epoch is None else args.epoch
        path, flag = find_checkpoint(task, epoch, args), "checkpoint"
    net, run = checkpoints.read_network(path, flag)
    task = checkpoints.task_of(net, run, path, args)
    seed = run.get("seed") if args.seed is None else args.seed
    if args.seed is not None and run.get("seed") not in (None, args.seed):
        print(f"--seed {args.seed} chooses the sequences; the network's own is {run['seed']}")
    title = checkpoints.title(task, run)
    if run.get("reports"):
        print(f"{title}, loss {run['reports'][-1]['loss']:.4f}")
        print(f"recipe: {settings.format_flags(settings.restore(Recipe, run['recipe']))}")
    else:
        print(title)
    net, language = net.to(args.device), task.language
    check_words(language, args.words)
    seed = process.seed_everything(seed)
    texts = language.to_strings(language.batch(args.num_plot, np.random.default_rng(seed)))
    sampled = extraction.states_on(net, language, language.from_strings(texts))
    states = extraction.states_on(net, language, metrics.evaluation_set(language))
    machine = extraction.extract(net, language, states)
    results = {"title": title, "task": asdict(task), "seed": seed, "file": path}
    results |= report.measure(net, language, states, machine)
    results["sentences"] = report.sentences(results, language)
    plane = extraction.Plane(net, states.vectors)
    texts = list(args.words or texts)
    found = Analysis(net, task, title, args.plot, states, machine, plane, sampled, texts, results)
    sections = (show_scatter, show_states, show_dynamics, show_context, show_page, show_film)
    with report.course_numbers():
        for name, show_section in zip(SECTIONS, sections, strict=True):
            if name in args.only:
                show_section(found, args)
    if args.json:
        files.write_json(args.json, results)
    print(in_short(results["sentences"]))
    if not args.no_show and net.hid > 2 and "scatter" in args.only:
        files.show_window(lambda figure: _cube(found, False, figure), (8, 7))
    return 0


if __name__ == "__main__":
    process.run(main)
