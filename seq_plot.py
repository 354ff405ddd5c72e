"""Part 3: what a trained recurrent network has learned, in pictures, tables and sentences.

    python3 seq_plot.py --lang anb2n --epoch 100                       the brief's SRN
    python3 seq_plot.py --lang anb2nc3n --model lstm --epoch 50        the brief's LSTM
    python3 seq_plot.py --lang reber --only states                     the machine it has become

Reads a checkpoint of seq_train.py (or the course's own). Printed by section: weights and
sequences (scatter), states and machine (states), maps, fixed points and counting (dynamics), what
the units do over time (context).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import script
import seq_train
from script import Fault

if TYPE_CHECKING:
    import numpy as np

    from dynamics import Trajectory
    from language import Language, Sequences

SECTIONS = ("scatter", "states", "dynamics", "context")
# More hidden units than these have hundreds of pairs.
MANY = 10
# Sequences on which machine and network are compared, where not all of them are.
COMPARED = 10_000


def flags() -> script.Parser:
    """The script's flags."""
    parser = script.Parser(
        description="Show what a network that seq_train.py has trained does, and explain it."
    )
    seq_train.add_task_flags(parser)
    parser.add_argument(
        "--epoch",
        type=script.integer(0, 1_000_000),
        help="which checkpoint, in thousands of sequences (default: the end of default training)",
    )
    parser.add_argument(
        "--out_path",
        type=script.path,
        default=Path("net"),
        metavar="DIR",
        help="folder of checkpoints",
    )
    parser.add_argument(
        "--num_plot",
        type=script.integer(1, 1000),
        default=10,
        help="sequences that are printed, and plotted as dots (default: 10)",
    )
    script.add_common_flags(parser)
    parser.add_argument(
        "--only",
        type=script.several(_section),
        default=SECTIONS,
        metavar="SECTION,...",
        help=f"what to print and draw: {','.join(SECTIONS)} (default: all)",
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


# The network


@dataclass
class Study:
    """A trained network, what it is looked at on, and where its pictures go.

    sequences: the evaluation set; drawn: those that are printed; path: all it goes through.
    """

    net: Any
    language: Language
    title: str
    stem: str
    folder: Path
    sequences: Sequences
    drawn: Sequences
    path: Trajectory

    def save(self, figure, what: str) -> None:
        script.save_picture(figure, self.folder / f"{self.stem}_{what}.jpg")


def find(args: argparse.Namespace) -> tuple[Path, dict]:
    """The path of the checkpoint that the flags ask for, and what it holds; or Fault."""
    import checkpoint

    task, language, epoch = seq_train.describe(args)
    epoch = epoch if args.epoch is None else args.epoch
    stem = seq_train.stem(task, language)
    path = args.out_path / f"{stem}_{epoch}.pth"
    if not path.exists():
        raise Fault(f"{path} does not exist: {_instead(args, task, stem, epoch)}")
    return path, checkpoint.read(path, "checkpoint")


def _instead(args: argparse.Namespace, task: dict, stem: str, epoch: int) -> str:
    """Which checkpoints there are instead, and the command that makes this one."""
    there = sorted(args.out_path.glob(f"{stem}_*.pth")) or sorted(args.out_path.glob("*.pth"))
    names = [path.name for path in there]
    names = [*names[:12], "..."] if len(names) > 12 else names
    has = f"{args.out_path} has {', '.join(names)}" if names else f"{args.out_path} has none"
    words = [f"python3 seq_train.py --lang {task['lang']}"]
    words += ["--embed"] if task["embed"] else []
    words += [f"--length {args.length}"] if args.length else []
    words += [f"--model {task['model']} --hid {task['hid']} --epoch {epoch}"]
    words += [f"--out_path {args.out_path}"] if args.out_path != Path("net") else []
    return f"{has}; make it by {' '.join(words)}"


def load(args: argparse.Namespace) -> tuple[Any, Language, str, str]:
    """Network, language, title and stem of the checkpoint that the flags ask for; or Fault."""
    path, content = find(args)
    try:
        task, language, _, net = seq_train.restore(content, args)
    except ValueError as error:
        raise Fault(f"checkpoint {path}: not a whole checkpoint of seq_train.py") from error
    asked, _, _ = seq_train.describe(args)
    for name in seq_train.TASK:
        # A file knows its length; one that is asked for must be that one.
        if task[name] != asked[name] and (name != "length" or args.length):
            raise Fault(f"{path} holds a network with --{name} {task[name]}, not {asked[name]}")
    title = f"{task['model'].upper()} with {net.hid} hidden units"
    seen = content.get("seen")
    if isinstance(seen, int):
        title += f" after {seen} sequences of {language.name}"
    else:
        title += f" on {language.name}"
    return net, language, title, seq_train.stem(task, language)


# The sections


def scatter(study: Study, args: argparse.Namespace) -> None:
    """Weights and sequences, printed; hidden units against each other, drawn."""
    import seq_pictures

    net, language = study.net, study.language
    for name, weights in net.state_dict().items():
        print(f"{name}:\n{weights.numpy()}")
    for column in range(study.drawn.count):
        symbols = study.drawn.symbols[:-1, column][study.drawn.mask[:, column]]
        seq_train.print_sequence(net, language, language.spell(symbols), args.context)
    hidden, number, _ = _dots(study)
    title = study.title
    start = net.initial(1)[0][0].detach().numpy() if net.blocks == 1 else None
    if net.hid > MANY:
        print(f"of {net.hid} hidden units, only neighbours are drawn against each other")
    for pair in _pairs(net.hid):
        figure = seq_pictures.pair_picture(
            hidden, number, pair, "hidden unit", title, language, start
        )
        study.save(figure, "{}{}".format(*pair))
    if net.hid > 2:
        figure = seq_pictures.cube_picture(hidden, number, "hidden unit", title, language)
        study.save(figure, "3d")


def _dots(study: Study) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Hidden vectors (P, H), state numbers (P,) and context vectors (P, H), or None, on the drawn
    sequences."""
    import torch

    with torch.no_grad():
        run = study.net(study.drawn.symbols[:-1])
    mask = study.drawn.mask
    number = study.language.number[study.drawn.nodes[mask].numpy()]
    context = None if run.context is None else run.context[mask].numpy()
    return run.hidden[mask].numpy(), number, context


def _pairs(hid: int) -> list[tuple[int, int]]:
    """All pairs j < k of units; of many units only those of neighbours."""
    if hid > MANY:
        return [(unit, unit + 1) for unit in range(0, hid - 1, 2)]
    return [(one, other) for one in range(hid) for other in range(one + 1, hid)]


def window(study: Study) -> None:
    """A window in which the cloud can be turned, until it is closed; nothing without a screen."""
    from matplotlib import pyplot
    from matplotlib.backends import BackendFilter, backend_registry

    # Where there is no screen, matplotlib has chosen a backend that only writes files.
    if pyplot.get_backend().lower() not in backend_registry.list_builtin(BackendFilter.INTERACTIVE):
        return

    import seq_pictures

    hidden, number, _ = _dots(study)
    figure = pyplot.figure(figsize=(8, 7))
    seq_pictures.cube_picture(hidden, number, "hidden unit", study.title, study.language, figure)
    print("close the window to go on")
    pyplot.show()


def states(study: Study, args: argparse.Namespace) -> None:
    """The machine in the hidden vectors: picture, diagram, table and proof."""
    import numpy as np

    import dynamics
    import explain
    import machine
    import seq_pictures

    net, language, path = study.net, study.language, study.path
    found = dynamics.extract(path, language)
    small, number = machine.minimal(found.machine)
    own, nodes = machine.minimal(machine.of_language(language))
    labels = [language.labels[int(np.flatnonzero(nodes == state)[0])] for state in range(own.count)]
    places = np.stack([language.places[nodes == state].mean(axis=0) for state in range(own.count)])
    judged = _compared(study)
    met = dynamics.merged(small, language, own, judged)
    names = machine.names(met, labels)
    agree = dynamics.agreement(net, language, small, judged)
    print("\n--- States and machine ---")
    print(explain.found_states(found, small, path))
    print(machine.as_table(small, names))
    print(
        f"{agree} of {judged.count} agree: sequences on which machine and network predict the same"
    )
    print(explain.compared(small, own, met, names, labels, language.name))
    figure = seq_pictures.states_picture(
        path, found, [names[state] for state in number], language, f"States of the {study.title}"
    )
    study.save(figure, "states")
    where = seq_pictures.places_of(small, met, places)
    title = f"Machine in the {study.title}"
    study.save(seq_pictures.machine_picture(small, names, where, title), "fsm")
    dot = study.folder / f"{study.stem}_fsm.dot"
    script.write(dot, machine.as_dot(small, names))
    print(f"for Graphviz: {dot}")


def _compared(study: Study) -> Sequences:
    """The sequences on which machine and network are compared: all there are, or 10,000 drawn."""
    import numpy as np

    from language import WORDS

    count = len(study.language.listed)
    if count and count**WORDS == study.sequences.count:
        return study.sequences
    return study.language.batch(COMPARED, np.random.default_rng(1))


def dynamics_of(study: Study, args: argparse.Namespace) -> None:
    """The maps of the symbols, and how the network counts with them."""
    import dynamics
    import explain
    import seq_pictures
    from anb2n import counting
    from prediction import exact, remembered

    net, language, path = study.net, study.language, study.path
    points = {symbol: dynamics.map_points(net, path, symbol) for symbol in range(language.classes)}
    print("\n--- Dynamics ---")
    print("Each symbol maps the state to the next one; where it maps a state to itself:")
    print(explain.fixed_points(points, language, net.hid))
    if language.listed:
        print(explain.counting(net, language, points))
        longer = counting(language.name, explain.FAR)
        right = exact(net, longer, list(longer.listed))
        print(f"Trained on n = 1 .. {language.length}; each word alone:")
        print(explain.counts_beyond(net, language, right))
        print(explain.why_it_breaks(net, language, right, points))
    elif language.name == "reber_embed":
        share = remembered(net, language)
        print(f"memory: the last symbol but one is predicted in {share:.2%} of 10000 fresh words")
    title = f"Maps of the symbols: {study.title}"
    study.save(seq_pictures.dynamics_picture(net, language, path, points, title), "dynamics")


def context(study: Study, args: argparse.Namespace) -> None:
    """What the units do over time; which of them count, and what breaks without them."""
    import dynamics
    import explain
    import seq_pictures

    net, language, path = study.net, study.language, study.path
    print("\n--- Units over time ---")
    units = "hidden unit" if net.blocks == 1 else "context unit"
    if language.listed:
        values = path.hidden if net.blocks == 1 else path.context
        phase, count = dynamics.phases(language)
        # The start is no place in a word.
        found = dynamics.counters(values[1:], phase[path.node[1:]], count[path.node[1:]])
        print(explain.counters(found, language, units))
        print(explain.roles(found, language, units))
        results = {
            (unit, run, how): dynamics.ablate(net, language, unit, run, how)
            for unit in range(min(net.hid, 8))
            for run in range(1, language.classes)
            for how in dynamics.ABLATIONS
        }
        print("Proof by disturbing one unit, over the words n = 1 .. " + str(language.length) + ":")
        print(explain.ablations(results, language, units))
        print(explain.worst_ablations(results, language, units))
    if net.blocks > 1:
        _, number, values = _dots(study)
        for pair in _pairs(net.hid):
            figure = seq_pictures.pair_picture(
                values, number, pair, "context unit", study.title, language
            )
            study.save(figure, "context_{}{}".format(*pair))
    study.save(seq_pictures.time_picture(net, language, f"One word: {study.title}"), "time")


def main(argv: list[str] | None = None) -> int:
    args = flags().parse_args(argv)
    script.require_writable(args.plot)
    net, language, title, stem = load(args)

    import numpy as np
    import torch

    import dynamics
    from prediction import evaluation_set

    seq_train.print_numbers_as_the_course()
    # More threads than one only wait for each other on matrices as small as these.
    torch.set_num_threads(1)
    seed = script.seed_everything(args.seed)
    print(title)
    sequences = evaluation_set(language)
    drawn = language.batch(args.num_plot, np.random.default_rng(seed))
    path = dynamics.trajectory(net, language, sequences)
    study = Study(net, language, title, stem, args.plot, sequences, drawn, path)
    sections = dict(zip(SECTIONS, (scatter, states, dynamics_of, context), strict=True))
    for name, section in sections.items():
        if name in args.only:
            section(study, args)
    if args.show and net.hid > 2 and "scatter" in args.only:
        window(study)
    return 0


if __name__ == "__main__":
    script.run(main)
