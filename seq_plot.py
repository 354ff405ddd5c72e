"""Part 3: what a trained recurrent network has learned, in pictures, tables and sentences.

    python3 seq_plot.py --lang anb2n --epoch 100                       the brief's SRN
    python3 seq_plot.py --lang anb2nc3n --model lstm --epoch 50        the brief's LSTM
    python3 seq_plot.py --lang reber --only states                     the machine it has become

Reads a checkpoint of seq_train.py (or the course's own); where there is none, seq_train.py makes it
first. Printed by section: weights and sequences (scatter), states and machine (states), maps, fixed
points and counting (dynamics), what the units do over time (context); --only film draws a film.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from cli import checkpoint, files, flags, process
from cli.errors import UserError
from recurrent import (
    diagrams,
    dynamics,
    explain,
    explain_machine,
    explain_units,
    extraction,
    film,
    machine,
    maps,
    pictures,
    units,
)
from recurrent.extraction import Trajectory
from recurrent.language import Language, Sequences
from recurrent.metrics import evaluation_set, long_range_score
from recurrent.task import (
    FAILED,
    TASK_FLAGS,
    Task,
    add_task_flags,
    folder_flags,
    load_checkpoint,
    print_numbers_as_the_course,
    print_sequence,
    resolve_task,
)
from seq_models import LSTM, SRN

SECTIONS = ("scatter", "states", "dynamics", "context", "film")
# Without --only, because a film takes as long as all the rest.
DEFAULT_SECTIONS = SECTIONS[:-1]
# More hidden units than these have hundreds of pairs.
MAX_HIDDEN = 10
# More checkpoints than these are not listed.
MAX_LISTED = 12
# The sequences that test a machine are longer by this factor than those that made it.
LONGER = 2


# Flags


def build_parser() -> flags.Parser:
    """The script's flags."""
    parser = flags.Parser(
        description="Show what a network that seq_train.py has trained does, and explain it."
    )
    add_task_flags(parser)
    parser.add_argument(
        "--epoch",
        type=flags.Integer(0, 1_000_000),
        help="which checkpoint, in thousands of sequences (default: the end of default training)",
    )
    parser.add_argument(
        "--num_plot",
        type=flags.Integer(1, 1000),
        default=10,
        help="sequences that are printed, and plotted as dots (default: 10)",
    )
    flags.add_common_flags(parser)
    parser.add_argument(
        "--only",
        type=flags.CommaSeparated(_section),
        default=DEFAULT_SECTIONS,
        metavar="SECTION,...",
        help=f"what to print and draw: {','.join(SECTIONS)} (default: all but film)",
    )
    parser.add_argument(
        "--context", action="store_true", help="print context units beside hidden units (lstm)"
    )
    window = parser.add_mutually_exclusive_group()
    window.add_argument(
        "--show",
        dest="show",
        action="store_true",
        default=True,
        help="with 3 or more hidden units, open a window with the cloud in space where there is "
        "a screen (default)",
    )
    window.add_argument("--no_show", dest="show", action="store_false", help="open no window")
    return parser


def _section(text: str) -> str:
    if text not in SECTIONS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(SECTIONS)}")
    return text


# Training, where there is no checkpoint yet


def train_first(args: argparse.Namespace, task: Task, epoch: int, seed: int) -> None:
    """Have seq_train.py make the checkpoint that is asked for; print the command and its seconds.

    Checkpoints that are there already, of another seed perhaps, are not replaced. Raises UserError
    if training fails or is interrupted; what it had saved by then stays.
    """
    files.require_writable(args.out_path)
    path, there = task.checkpoint(args.out_path, epoch), other_checkpoints(args.out_path, task)
    words = [*task.flags, *task.epoch_flags(epoch), "--seed", str(seed)]
    words += ["--device", str(args.device)] if args.device.type != "cpu" else []
    command = shlex.join(["python3", "seq_train.py", *words, *folder_flags(args)])
    print(f"{path} does not exist{there}; training it first: {command} ...", end="", flush=True)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=".training-", dir=args.out_path) as folder:
        status, told, number = run_seq_train([*words, "--out_path", folder, "--plot", args.plot])
        saved = keep_new(Path(folder), args.out_path)
    if number:
        print(flush=True)
        kept = "nothing was saved"
        if saved:
            resume = ["python3", "seq_train.py", "--resume", str(saved[-1]), *folder_flags(args)]
            kept = f"{saved[-1]} was the last file saved; to go on: {shlex.join(resume)}"
        raise UserError(f"interrupted; {kept}", status=128 + number)
    if status not in (0, FAILED):
        print(flush=True)
        lines = told.split("error: ", 1)[-1].splitlines()
        raise UserError(lines[-1] if lines else f"training ended with status {status}")
    without = ", without success" if status == FAILED else ""
    print(f" {time.monotonic() - start:.1f} s{without}", flush=True)


def run_seq_train(words: list) -> tuple[int, str, int]:
    """Run seq_train.py; return its exit status, its errors, and the signal that ended it or 0."""
    # A session of its own: Ctrl-C reaches this script alone, which passes it on.
    training = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("seq_train.py"), *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    number = 0
    while training.returncode is None:
        try:
            _, told = training.communicate()
        except KeyboardInterrupt as interrupt:
            terminated = isinstance(interrupt, process.Terminated)
            number = signal.SIGTERM if terminated else signal.SIGINT
            training.send_signal(number)
    return training.returncode, told, number


def keep_new(folder: Path, out_path: Path) -> list[Path]:
    """Move the checkpoints in `folder` that `out_path` lacks there; return them, oldest first."""
    made = sorted(folder.glob("*.pth"), key=lambda path: path.stat().st_mtime_ns)
    new = [path for path in made if not (out_path / path.name).exists()]
    return [path.rename(out_path / path.name) for path in new]


def other_checkpoints(folder: Path, task: Task) -> str:
    """Return which checkpoints of the task's network there are, in brackets; "" if none."""
    names = [path.name for path in folder.glob(f"{task.stem}_*.pth")]
    names.sort(key=lambda name: (len(name), name))
    more = ", ..." if len(names) > MAX_LISTED else ""
    return f" (there are {', '.join(names[:MAX_LISTED])}{more})" if names else ""


# The sections


@dataclass
class Analysis:
    """A trained network, what it is looked at on, and where its pictures go.

    sequences: the evaluation set; drawn: those that are printed; trajectory: of the evaluation set.
    """

    net: SRN | LSTM
    task: Task
    title: str
    folder: Path
    sequences: Sequences
    drawn: Sequences
    trajectory: Trajectory

    @property
    def language(self) -> Language:
        return self.task.language

    @cached_property
    def extracted(self) -> extraction.Extraction:
        """The machine in the network; several sections draw it."""
        return extraction.find_machine(self.net, self.language, self.sequences)

    def save(self, figure, what: str) -> None:
        files.save_picture(figure, self.folder / f"{self.task.stem}_{what}.jpg")


def scatter(analysis: Analysis, args: argparse.Namespace) -> dict:
    """Print weights and sequences, draw hidden units against each other; return the sequences'
    activations."""
    net, language = analysis.net, analysis.language
    for name, weights in net.state_dict().items():
        print(f"{name}:\n{weights.cpu().numpy()}")
    texts = language.to_strings(analysis.drawn)
    sequences = [print_sequence(net, language, text, args.context) for text in texts]
    hidden, number, _ = _dots(analysis)
    title = analysis.title
    start = net.initial_state(1)[0][0].detach().cpu().numpy() if net.blocks == 1 else None
    if net.hid > MAX_HIDDEN:
        print(f"of {net.hid} hidden units, only neighbours are drawn against each other")
    for pair in _pairs(net.hid):
        figure = pictures.pair_picture(hidden, number, pair, "hidden unit", title, language, start)
        analysis.save(figure, "{}{}".format(*pair))
    if net.hid > 2:
        figure = pictures.cube_picture(hidden, number, "hidden unit", title, language)
        analysis.save(figure, "3d")
    return {"sequences": sequences}


def _dots(analysis: Analysis) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Hidden vectors (P, H), state numbers (P,) and context vectors (P, H), or None, on the drawn
    sequences."""
    with torch.no_grad():
        run = analysis.net(analysis.drawn.symbols[:-1])
    mask = analysis.drawn.mask
    number = analysis.language.number[analysis.drawn.nodes[mask].numpy()]
    context = None if run.context is None else run.context.cpu()[mask].numpy()
    return run.hidden.cpu()[mask].numpy(), number, context


def _pairs(hid: int) -> list[tuple[int, int]]:
    """All pairs j < k of units; of many units only those of neighbours."""
    if hid > MAX_HIDDEN:
        return [(unit, unit + 1) for unit in range(0, hid - 1, 2)]
    return [(one, other) for one in range(hid) for other in range(one + 1, hid)]


def window(analysis: Analysis) -> None:
    """A window in which the cloud can be turned, until it is closed; nothing without a screen."""
    from matplotlib import pyplot
    from matplotlib.backends import BackendFilter, backend_registry

    # Where there is no screen, matplotlib has chosen a backend that only writes files.
    if pyplot.get_backend().lower() not in backend_registry.list_builtin(BackendFilter.INTERACTIVE):
        return
    hidden, number, _ = _dots(analysis)
    figure = pyplot.figure(figsize=(8, 7))
    pictures.cube_picture(hidden, number, "hidden unit", analysis.title, analysis.language, figure)
    print("close the window to go on")
    pyplot.show()


def states(analysis: Analysis, args: argparse.Namespace) -> dict:
    """Print and draw the machine in the network's state vectors; compare it with the language's.

    Returns the sizes of both machines and how they compare.
    """
    net, language, sequences = analysis.net, analysis.language, analysis.sequences
    found = analysis.extracted
    small, names, labels = found.machine, found.names, found.labels
    fresh = extraction.generate(net, language, LONGER * found.steps, seed=1)
    agree = extraction.agreement(net, language, small, fresh)
    print("\n--- States and machine ---")
    print(explain_machine.threshold(language))
    print(explain_machine.found_states(found.states, small, found.trajectory))
    print(machine.as_table(small, names))
    print(
        f"machine and network agree on {agree}/{fresh.count} sequences (symbols allowed after each "
        f"symbol; sequences of up to {LONGER * found.steps} symbols, generated afresh by the "
        f"network; those that made the machine have up to {found.steps})"
    )
    print(
        explain_machine.compared(
            small, found.reference, found.overlap, names, labels, language.name
        )
    )
    different = extraction.differences(net, language, found.reference, sequences)
    print(explain_machine.difference_table(different, labels, language, sequences.count))
    title = f"States of the {analysis.title}"
    figure = diagrams.states_picture(found.trajectory, *found.drawn, language, title)
    analysis.save(figure, "states")
    where = diagrams.machine_places(small, found.overlap, found.places)
    title = f"Machine in the {analysis.title}"
    analysis.save(diagrams.machine_picture(small, names, where, title), "fsm")
    dot = analysis.folder / f"{analysis.task.stem}_fsm.dot"
    files.write(dot, machine.as_dot(small, names))
    print(f"for Graphviz: {dot}")
    return {
        "clusters": found.states.machine.count,
        "inconsistent": found.states.inconsistent,
        "states": small.count,
        "minimal_states": found.reference.count,
        "isomorphic": small == found.reference,
        "agreement": agree,
        "agreement_of": fresh.count,
    }


def dynamics_of(analysis: Analysis, args: argparse.Namespace) -> None:
    """The maps of the symbols, and how the network counts with them."""
    net, language, trajectory = analysis.net, analysis.language, analysis.trajectory
    # Where a sequence is one word, the symbol that ends it is never read.
    read = np.unique(trajectory.symbol[1:]).tolist()
    points = {symbol: dynamics.map_points(net, trajectory, symbol) for symbol in read}
    print("\n--- Dynamics ---")
    print(explain.fixed_points(points, language, net.hid))
    if language.times:
        print(explain.counting(net, language, points))
        runs = dynamics.predict_single_words(net, language, explain.MAX_N_SHOWN)
        ahead = dynamics.states_along(net, np.zeros(explain.MAX_N_SHOWN, dtype=np.int64))
        print(
            f"Generalisation of the {analysis.title} (trained on n <= {language.max_n}; single "
            "words; step of A: distance between the states after n - 1 and n A's):"
        )
        print(explain.generalisation(runs, dynamics.step_lengths(ahead), language))
    elif language.long_range:
        print(f"last symbol but one of fresh words: {long_range_score(net, language)}")
    title = f"Maps of the symbols: {analysis.title}"
    # A cycle has no single place in a picture.
    still = {
        symbol: [fixed for fixed in found if fixed.period == 1] for symbol, found in points.items()
    }
    analysis.save(maps.dynamics_picture(net, language, trajectory, still, title), "dynamics")


def context(analysis: Analysis, args: argparse.Namespace) -> None:
    """What the units do over time; which of them count, and what breaks without them."""
    net, language = analysis.net, analysis.language
    print("\n--- Units over time ---")
    name = "hidden unit" if net.blocks == 1 else "context unit"
    if language.times:
        values = units.unit_values(net, language)
        found = units.unit_roles(values)
        print(explain_units.roles(found, language, name, units.forgetting(net, language)))
        print(explain_units.end_table(found, values, language, name))
        print(explain_units.transfers(found, values, language, name))
        print(f"Ablation of single {name}s, over the words n = 1 .. {language.max_n} after each:")
        print(explain_units.ablations(units.ablations(net, language), language))
    if net.blocks > 1:
        _, number, values = _dots(analysis)
        for pair in _pairs(net.hid):
            figure = pictures.pair_picture(
                values, number, pair, "context unit", analysis.title, language
            )
            analysis.save(figure, "context_{}{}".format(*pair))
    analysis.save(pictures.time_picture(net, language, f"One word: {analysis.title}"), "time")


def film_of(analysis: Analysis, args: argparse.Namespace) -> None:
    """A film of the network and its machine as they read a few words."""
    content = film.film(analysis.net, analysis.language, analysis.extracted, analysis.title)
    path = analysis.folder / f"{analysis.task.stem}_film.gif"
    files.write(path, content)
    print(f"film: {path}")


# Checkpoints


def load(path: Path, args: argparse.Namespace) -> tuple[Task, SRN | LSTM, str]:
    """Return task, network and title of a checkpoint.

    Raises UserError if it is damaged, or of another task than the flags ask for.
    """
    content, asked = checkpoint.read(path, "checkpoint"), resolve_task(args)
    try:
        task, net = load_checkpoint(content, asked)
    except ValueError as error:
        raise UserError(f"checkpoint {path}: not a whole checkpoint of seq_train.py") from error
    for name in TASK_FLAGS:
        held, value = getattr(task, name), getattr(asked, name)
        # A file knows its length; one that is asked for must be that one.
        if held != value and (name != "length" or args.length):
            raise UserError(f"{path} holds a network with --{name} {held}, not {value}")
    seen = content.get("seen")
    after = f"after {seen} sequences of" if isinstance(seen, int) else "on"
    return task, net, f"{task.title} {after} {task.language.name}"


# The script


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    files.require_writable(args.plot)
    if args.json:
        files.require_savable(args.json, "--json")
    asked = resolve_task(args)
    epoch = asked.default_epoch if args.epoch is None else args.epoch
    path = asked.checkpoint(args.out_path, epoch)
    print_numbers_as_the_course()
    # More threads than one only wait for each other on matrices as small as these.
    torch.set_num_threads(1)
    seed = process.seed_everything(args.seed)
    if not path.exists():
        train_first(args, asked, epoch, seed)
    task, net, title = load(path, args)
    print(title)
    net.to(args.device)
    sequences = evaluation_set(task.language)
    drawn = task.language.batch(args.num_plot, np.random.default_rng(seed))
    trajectory = extraction.trajectory(net, task.language, sequences)
    analysis = Analysis(net, task, title, args.plot, sequences, drawn, trajectory)
    sections = dict(zip(SECTIONS, (scatter, states, dynamics_of, context, film_of), strict=True))
    results = {"title": title, "task": asdict(task), "epoch": epoch, "seed": seed}
    for name, section in sections.items():
        if name in args.only:
            results |= section(analysis, args) or {}
    if args.json:
        files.write_json(args.json, results)
    if args.show and net.hid > 2 and "scatter" in args.only:
        window(analysis)
    return 0


if __name__ == "__main__":
    process.run(main)
