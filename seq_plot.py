"""Part 3: analyse a trained recurrent network: print and draw what it has learned.

    python3 seq_plot.py --lang anb2n --epoch 100                       the assignment's SRN
    python3 seq_plot.py --lang anb2nc3n --model lstm --epoch 50        the assignment's LSTM
    python3 seq_plot.py --lang reber --only states                     the extracted machine only

Reads a checkpoint of seq_train.py or of the course's script, or trains the network first. Sections:
weights and activations (scatter), state clusters and extracted machine (states), fixed points and
counting (dynamics), units over time (context), an animation of state and machine (film).
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
    match_course_number_format,
    print_sequence,
    resolve_task,
)
from seq_models import LSTM, SRN

SECTIONS = ("scatter", "states", "dynamics", "context", "film")
# All but film, because it takes as long as the others together.
DEFAULT_SECTIONS = SECTIONS[:-1]
# Maximum number of units of which all pairs are drawn: 10 units have 45 pairs, a picture each.
MAX_UNITS_ALL_PAIRS = 10
# Maximum number of checkpoints listed when one is missing.
MAX_LISTED = 12
# Maximum length of the sequences that test a machine, relative to those it is extracted from.
TEST_LENGTH_FACTOR = 2


# Flags


def build_parser() -> flags.Parser:
    """Return the parser of the script's flags."""
    parser = flags.Parser(
        description="Analyse a network trained by seq_train.py: print and draw its activations, "
        "state clusters, extracted machine, dynamics and units. A missing checkpoint is trained "
        "first."
    )
    add_task_flags(parser)
    parser.add_argument(
        "--epoch",
        type=flags.Integer(0, 1_000_000),
        help="checkpoint, in thousands of training sequences (default: the last one of a run with "
        "default settings)",
    )
    parser.add_argument(
        "--num_plot",
        type=flags.Integer(1, 1000),
        default=10,
        help="random sequences to print and to plot as dots",
    )
    flags.add_common_flags(parser)
    parser.add_argument(
        "--only",
        type=flags.CommaSeparated(_section),
        default=",".join(DEFAULT_SECTIONS),
        metavar="SECTION,...",
        help="sections to print and draw: scatter (weights, activations), states (clusters, "
        "machine), dynamics (fixed points, counting), context (units over time, ablation), film",
    )
    parser.add_argument(
        "--context", action="store_true", help="lstm: print context units as well as hidden units"
    )
    show = parser.add_mutually_exclusive_group()
    # Not as the flags' defaults, because the help would print True for both.
    parser.set_defaults(show=True)
    show.add_argument(
        "--show",
        dest="show",
        action="store_true",
        default=argparse.SUPPRESS,
        help="open a window with a rotatable 3D plot, if there are 3 or more hidden units and a "
        "screen (default)",
    )
    show.add_argument(
        "--no_show",
        dest="show",
        action="store_false",
        default=argparse.SUPPRESS,
        help="open no window",
    )
    return parser


def _section(text: str) -> str:
    if text not in SECTIONS:
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(SECTIONS)}")
    return text


# Training of a missing checkpoint


def train_first(args: argparse.Namespace, task: Task, epoch: int, seed: int) -> None:
    """Make checkpoint `epoch` by seq_train.py; print the command and its time in seconds.

    Existing checkpoints are kept, because they may be of another seed. Raises UserError if training
    fails or is interrupted; the checkpoints saved by then are kept.
    """
    files.require_writable(args.out_path)
    path, found = task.checkpoint(args.out_path, epoch), existing_checkpoints(args.out_path, task)
    words = [*task.flags, *task.epoch_flags(epoch), "--seed", str(seed)]
    words += ["--device", str(args.device)] if args.device.type != "cpu" else []
    command = shlex.join(["python3", "seq_train.py", *words, *folder_flags(args)])
    print(
        f"{path} does not exist{found}; training the network first: {command} ...",
        end="",
        flush=True,
    )
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=".training-", dir=args.out_path) as folder:
        words += ["--out_path", folder, "--plot", args.plot]
        status, errors, signal_number = run_seq_train(words)
        saved = move_new_checkpoints(Path(folder), args.out_path)
    if signal_number:
        print(flush=True)
        result = "nothing was saved"
        if saved:
            resume = ["python3", "seq_train.py", "--resume", str(saved[-1]), *folder_flags(args)]
            result = f"{saved[-1]} was the last file saved; to go on: {shlex.join(resume)}"
        raise UserError(f"interrupted; {result}", status=128 + signal_number)
    if status not in (0, FAILED):
        print(flush=True)
        lines = errors.split("error: ", 1)[-1].splitlines()
        raise UserError(lines[-1] if lines else f"seq_train.py ended with exit status {status}")
    outcome = ", without success" if status == FAILED else ""
    print(f" {time.monotonic() - start:.1f} s{outcome}", flush=True)


def run_seq_train(words: list) -> tuple[int, str, int]:
    """Run seq_train.py; return its exit status, its stderr, and the signal passed on to it or 0."""
    # In a new session, because Ctrl-C would otherwise reach it twice: directly and from here.
    training = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("seq_train.py"), *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    signal_number = 0
    while training.returncode is None:
        try:
            _, errors = training.communicate()
        except KeyboardInterrupt as interrupt:
            terminated = isinstance(interrupt, process.Terminated)
            signal_number = signal.SIGTERM if terminated else signal.SIGINT
            training.send_signal(signal_number)
    return training.returncode, errors, signal_number


def move_new_checkpoints(folder: Path, out_path: Path) -> list[Path]:
    """Move the checkpoints that `out_path` lacks from `folder` to it; return them, oldest first."""
    made = sorted(folder.glob("*.pth"), key=lambda path: path.stat().st_mtime_ns)
    new = [path for path in made if not (out_path / path.name).exists()]
    return [path.rename(out_path / path.name) for path in new]


def existing_checkpoints(folder: Path, task: Task) -> str:
    """Return the names of the task's checkpoints in `folder` as " (found: a, b)"; "" if none."""
    names = [path.name for path in folder.glob(f"{task.stem}_*.pth")]
    names.sort(key=lambda name: (len(name), name))
    more = ", ..." if len(names) > MAX_LISTED else ""
    return f" (found: {', '.join(names[:MAX_LISTED])}{more})" if names else ""


# Sections


@dataclass
class Analysis:
    """A trained network, the sequences that it is analysed on, and the folder of its pictures.

    title:      the network's name in pictures.
    sequences:  the evaluation set; trajectory: the network's trajectory on it.
    sampled:    the random sequences that are printed and plotted as dots.
    """

    net: SRN | LSTM
    task: Task
    title: str
    folder: Path
    sequences: Sequences
    sampled: Sequences
    trajectory: Trajectory

    @property
    def language(self) -> Language:
        return self.task.language

    @cached_property
    def extracted(self) -> extraction.Extraction:
        """The machine extracted from the network."""
        return extraction.extract_machine(self.net, self.language, self.sequences)

    def save(self, figure, name: str) -> None:
        files.save_picture(figure, self.folder / f"{self.task.stem}_{name}.jpg")


def show_scatter(analysis: Analysis, args: argparse.Namespace) -> dict:
    """Print weights and activations, draw scatter plots of hidden units; return the activations."""
    net, language = analysis.net, analysis.language
    for name, weights in net.state_dict().items():
        print(f"{name}:\n{weights.cpu().numpy()}")
    texts = language.to_strings(analysis.sampled)
    sequences = [print_sequence(net, language, text, args.context) for text in texts]
    hidden, number, _ = _state_vectors(analysis)
    title = analysis.title
    start = net.initial_state(1)[0][0].detach().cpu().numpy() if net.blocks == 1 else None
    if net.hid > MAX_UNITS_ALL_PAIRS:
        pairs = net.hid * (net.hid - 1) // 2
        print(f"pictures of units 0 and 1, 2 and 3, ... only: {net.hid} units have {pairs} pairs")
    for pair in _pairs(net.hid):
        figure = pictures.pair_picture(hidden, number, pair, "hidden unit", title, language, start)
        analysis.save(figure, "{}{}".format(*pair))
    if net.hid > 2:
        figure = pictures.cube_picture(hidden, number, "hidden unit", title, language)
        analysis.save(figure, "3d")
    return {"sequences": sequences}


def _state_vectors(analysis: Analysis) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return hidden vectors (P, H), state numbers (P,), and context vectors (P, H) or None, on the
    sampled sequences."""
    with torch.no_grad():
        run = analysis.net(analysis.sampled.symbols[:-1])
    mask = analysis.sampled.mask
    number = analysis.language.number[analysis.sampled.nodes[mask].numpy()]
    context = None if run.context is None else run.context.cpu()[mask].numpy()
    return run.hidden.cpu()[mask].numpy(), number, context


def _pairs(hid: int) -> list[tuple[int, int]]:
    """Return all pairs j < k of units; only (0, 1), (2, 3), ... if all would be too many."""
    if hid > MAX_UNITS_ALL_PAIRS:
        return [(unit, unit + 1) for unit in range(0, hid - 1, 2)]
    return [(one, other) for one in range(hid) for other in range(one + 1, hid)]


def show_window(analysis: Analysis) -> None:
    """Show a rotatable 3D plot of the hidden units until it is closed; do nothing if there is no
    screen."""
    from matplotlib import pyplot
    from matplotlib.backends import BackendFilter, backend_registry

    # Without a screen matplotlib has chosen a backend that only writes files.
    if pyplot.get_backend().lower() not in backend_registry.list_builtin(BackendFilter.INTERACTIVE):
        return
    hidden, number, _ = _state_vectors(analysis)
    figure = pyplot.figure(figsize=(8, 7))
    pictures.cube_picture(hidden, number, "hidden unit", analysis.title, analysis.language, figure)
    print("close the window to continue")
    pyplot.show()


def show_states(analysis: Analysis, args: argparse.Namespace) -> dict:
    """Print and draw the extracted machine, and compare it with the language's minimal machine.

    Returns the sizes of both machines and the results of the comparison.
    """
    net, language, sequences = analysis.net, analysis.language, analysis.sequences
    found = analysis.extracted
    extracted, names, labels = found.machine, found.names, found.labels
    test_steps = TEST_LENGTH_FACTOR * found.max_steps
    tests = extraction.generate(net, language, test_steps, seed=1)
    agreeing = extraction.agreement(net, language, extracted, tests)
    print("\n--- States and machine ---")
    print(explain_machine.threshold(language))
    print(explain_machine.clustering_summary(found.clustering, extracted, found.trajectory))
    print(f"\n{explain_machine.state_table(extracted, names, language)}\n")
    print(
        f"machine and network agree on {agreeing}/{tests.count} sequences (same symbols allowed at "
        f"every step; new\nsequences of up to {test_steps} symbols generated by the network; the "
        f"sequences used for the extraction have up to {found.max_steps})"
    )
    print(
        explain_machine.comparison(
            extracted, found.reference, found.overlap, names, labels, language.name
        )
    )
    differences = extraction.differences(net, language, found.reference, sequences)
    print(explain_machine.difference_table(differences, labels, language, sequences.count))
    shown, shown_names = found.shown
    merged = "" if shown is found.clustering else " merged by machine state"
    title = f"State clusters{merged}: {analysis.title}\n"
    title += "×: initial state; hollow dots: outside the language"
    figure = diagrams.states_picture(found.trajectory, shown, shown_names, language, title)
    analysis.save(figure, "states")
    positions = diagrams.machine_positions(extracted, found.overlap, found.positions)
    title = f"Extracted machine: {analysis.title}"
    analysis.save(diagrams.machine_picture(extracted, names, positions, title), "fsm")
    dot = analysis.folder / f"{analysis.task.stem}_fsm.dot"
    files.write(dot, machine.as_dot(extracted, names))
    print(f"for Graphviz: {dot}")
    return {
        "clusters": found.clustering.count,
        "inconsistent": found.clustering.inconsistent,
        "states": extracted.count,
        "minimal_states": found.reference.count,
        "isomorphic": extracted == found.reference,
        "agreement": agreeing,
        "agreement_of": tests.count,
    }


def show_dynamics(analysis: Analysis, args: argparse.Namespace) -> None:
    """Print and draw the symbols' maps, their fixed points, and how the network counts."""
    net, language, trajectory = analysis.net, analysis.language, analysis.trajectory
    # The symbols that are read; the last one of a sequence is only predicted.
    read = np.unique(trajectory.symbol[1:]).tolist()
    points = {symbol: dynamics.fixed_points_and_cycles(net, trajectory, symbol) for symbol in read}
    print("\n--- Dynamics ---")
    print(explain.fixed_point_table(points, language, net.hid))
    if language.times:
        print(f"\n{explain.counting_text(net, language, points)}\n")
        runs = dynamics.predict_single_words(net, language, explain.MAX_N_SHOWN)
        ahead = dynamics.states_along(net, np.zeros(explain.MAX_N_SHOWN, dtype=np.int64))
        print(explain.generalisation_table(runs, dynamics.step_lengths(ahead), language))
    elif language.long_range:
        print(f"second-to-last symbol of new words: {long_range_score(net, language)}")
    title = f"Map of each symbol: {analysis.title}"
    # Fixed points only, because a cycle has several positions.
    still = {
        symbol: [fixed for fixed in found if fixed.period == 1] for symbol, found in points.items()
    }
    analysis.save(maps.dynamics_picture(net, language, trajectory, still, title), "dynamics")


def show_context(analysis: Analysis, args: argparse.Namespace) -> None:
    """Print and draw the units over time, their roles in counting, and their ablations."""
    net, language = analysis.net, analysis.language
    print("\n--- Units over time ---")
    name = "hidden unit" if net.blocks == 1 else "context unit"
    if language.times:
        values, max_n = units.unit_values(net, language), language.max_n
        found = units.unit_roles(values)
        print(explain_units.role_table(found, language, name, units.forgetting(net, language)))
        print(f"\n{explain_units.end_table(found, values, language, name)}\n")
        print(explain_units.transfer_text(found, values, language, name))
        limit = units.MAX_ABLATED_UNITS
        which = f"the first {limit}" if net.hid > limit else "single"
        print(
            f"\nAblation of {which} {name}s: each word n = 1 .. {max_n}, read after each of these "
            f"words ({max_n**2} pairs)."
        )
        print(explain_units.ablation_table(units.ablations(net, language), language))
    if net.blocks > 1:
        _, number, values = _state_vectors(analysis)
        for pair in _pairs(net.hid):
            figure = pictures.pair_picture(
                values, number, pair, "context unit", analysis.title, language
            )
            analysis.save(figure, "context_{}{}".format(*pair))
    title = f"Units over time: {analysis.title}"
    analysis.save(pictures.time_picture(net, language, title), "time")


def show_film(analysis: Analysis, args: argparse.Namespace) -> None:
    """Make a film of the network and its machine reading a few words."""
    content = film.make_film(analysis.net, analysis.language, analysis.extracted, analysis.title)
    path = analysis.folder / f"{analysis.task.stem}_film.gif"
    files.write(path, content)
    print(f"film: {path}")


# Checkpoints


def load(path: Path, args: argparse.Namespace) -> tuple[Task, SRN | LSTM, str]:
    """Return a checkpoint's task, network and title.

    Raises UserError if the file is damaged or its task differs from the flags.
    """
    content, expected = checkpoint.read(path, "checkpoint"), resolve_task(args)
    try:
        task, net = load_checkpoint(content, expected)
    except ValueError as error:
        raise UserError(
            f"checkpoint {path}: damaged, or not a checkpoint of seq_train.py"
        ) from error
    for name in TASK_FLAGS:
        value, expected_value = getattr(task, name), getattr(expected, name)
        # Without --length the checkpoint's length is used.
        if value != expected_value and (name != "length" or args.length):
            raise UserError(f"{path} holds a network with --{name} {value}, not {expected_value}")
    seen = content.get("seen")
    after = f"after {seen} sequences of" if isinstance(seen, int) else "on"
    return task, net, f"{task.title} {after} {task.language.name}"


# The script


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    files.require_writable(args.plot)
    if args.json:
        files.require_savable(args.json, "--json")
    requested = resolve_task(args)
    epoch = requested.default_epoch if args.epoch is None else args.epoch
    path = requested.checkpoint(args.out_path, epoch)
    match_course_number_format()
    # More threads are slower on matrices this small, because they wait for each other.
    torch.set_num_threads(1)
    seed = process.seed_everything(args.seed)
    if not path.exists():
        train_first(args, requested, epoch, seed)
    task, net, title = load(path, args)
    print(title)
    net.to(args.device)
    sequences = evaluation_set(task.language)
    sampled = task.language.batch(args.num_plot, np.random.default_rng(seed))
    trajectory = extraction.trajectory(net, task.language, sequences)
    analysis = Analysis(net, task, title, args.plot, sequences, sampled, trajectory)
    sections = (show_scatter, show_states, show_dynamics, show_context, show_film)
    results = {"title": title, "task": asdict(task), "epoch": epoch, "seed": seed}
    for name, show_section in zip(SECTIONS, sections, strict=True):
        if name in args.only:
            results |= show_section(analysis, args) or {}
    if args.json:
        files.write_json(args.json, results)
    if args.show and net.hid > 2 and "scatter" in args.only:
        show_window(analysis)
    return 0


if __name__ == "__main__":
    process.run(main)
