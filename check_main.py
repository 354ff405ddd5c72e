"""Part 2: a two-layer perceptron on nine points, trained or with weights designed by hand.

    python3 check_main.py --act sig --hid 5                   train sigmoid units
    python3 check_main.py --act step --hid 4 --set_weights    step units, weights from check.py
    python3 check_main.py --act sig --hid 4 --set_weights     the same, rescaled for sigmoid units
    python3 check_main.py --design                            minimum number of step units, proved
    python3 check_main.py --recipe assignment --hid 5         train one network as the course does

The exit status is 3 if the network misclassifies a point.
"""

from __future__ import annotations

from cli import files, flags, process
from cli.errors import UserError
from cli.optimizers import Adam
from cli.process import Progress, Stop

import argparse
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from check import (
    MLP,
    activation_table,
    correct_points,
    dividing_lines,
    format_number,
    read_table,
)
from perceptron import pictures
from perceptron.dichotomies import Design, smallest_design
from perceptron.scales import correct_scales

# Epochs between two training lines.
REPORT_EVERY = 100
# Training ends after this number of consecutive epochs with all points correct.
STABLE_EPOCHS = 2000
# The course's weight decay for Adam.
WEIGHT_DECAY = 1e-5
RECIPES = {
    "assignment": dict(lr=0.001, init=0.15, epoch=200_000, restarts=1),
    "tuned": dict(lr=0.1, init=1.0, epoch=6000, restarts=32),
}


def build_parser() -> flags.Parser:
    """Return the script's parser."""
    parser = flags.Parser(
        description="Train a two-layer perceptron on points in the plane, or design its weights.",
        epilog="Recipe 'tuned': 32 networks side by side, of which the best is shown (--lr 0.1 "
        "--init 1 --epoch 6000). Recipe 'assignment': one network, trained as in the course "
        "(--lr 0.001 --init 0.15 --epoch 200000).",
    )
    parser.add_argument(
        "--hid", type=flags.Integer(1, 1000), default=4, help="number of hidden units"
    )
    parser.add_argument(
        "--act",
        choices=("sig", "step"),
        default="sig",
        help="activation of both layers: sigmoid, or step (only with --set_weights or --design)",
    )
    parser.add_argument(
        "--set_weights",
        action="store_true",
        help='use the weights entered in check.py under "Enter Weights Here"',
    )
    parser.add_argument(
        "--scale",
        type=flags.Number(0, 1e6, low_excluded=True),
        help="factor for the weights of --set_weights (default: 1 for step, 10 for sig)",
    )
    parser.add_argument(
        "--design",
        action="store_true",
        help="find the minimum number of hidden step units for the data, with weights and proof",
    )
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        default="tuned",
        help="defaults of --lr, --init, --epoch and --restarts, listed below",
    )
    parser.add_argument("--lr", type=flags.Number(0, 100, low_excluded=True), help="learning rate")
    parser.add_argument(
        "--init", type=flags.Number(0, 100), help="standard deviation of the initial weights"
    )
    parser.add_argument(
        "--epoch",
        type=flags.Integer(1, 10_000_000),
        help="maximum number of epochs; training ends earlier after "
        f"{STABLE_EPOCHS} epochs with all points correct",
    )
    parser.add_argument(
        "--restarts",
        type=flags.Integer(1, 10_000),
        help="networks with different initial weights, trained side by side",
    )
    parser.add_argument(
        "--data",
        type=flags.path,
        default=Path(__file__).parent / "data" / "check.csv",
        metavar="FILE",
        help="points and targets: CSV with the columns X1,X2,T",
    )
    flags.add_common_flags(parser)
    return parser


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Return the flags, completed by the recipe. Raises UserError if they are incompatible."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.act == "step" and not (args.set_weights or args.design):
        parser.error(
            "--act step cannot be trained: the step function's derivative is 0 wherever it has "
            "one, so there is no gradient to follow; add --set_weights, or train with --act sig"
        )
    if args.scale and not args.set_weights:
        parser.error("--scale multiplies the weights of --set_weights: add that flag")
    if args.design and args.set_weights:
        parser.error("--design finds its weights by search: omit --set_weights")
    for name, value in RECIPES[args.recipe].items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    return args


# Training


def train(args, points: Tensor, target: Tensor, stop: Stop) -> tuple[MLP, int]:
    """Train `--restarts` networks side by side, full batch, on points (N, 2) and targets (N, 1).

    Prints the best network's loss and accuracy every REPORT_EVERY epochs. Ends at `--epoch`, at
    `stop`, or when a network has classified all points correctly for STABLE_EPOCHS epochs. Returns
    the best network, on the CPU, and the number of epochs.

    Each network trains as if alone, because its loss depends only on its own weights and Adam
    updates every weight separately.
    """
    nets = MLP(args.hid, args.act, networks=args.restarts)
    # On the CPU, because a GPU would sample other weights from the same seed.
    nets.init_weights(args.init)
    nets.to(points.device)
    optimizer = Adam(nets.parameters(), args.lr, weight_decay=WEIGHT_DECAY, fused=True)
    targets = target.expand(args.restarts, *target.shape)
    epochs_correct = torch.zeros(args.restarts, dtype=torch.int64, device=points.device)
    best, progress = 0, Progress(args.epoch)
    for epoch in range(1, args.epoch + 1):
        output = nets(points)
        loss = F.binary_cross_entropy(output, targets, reduction="none").mean(dim=(1, 2))
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        with torch.no_grad():
            correct = ((output >= 0.5) == (targets >= 0.5)).sum(dim=(1, 2))
            epochs_correct = (epochs_correct + 1) * (correct == len(points))
            done = stop or epoch == args.epoch or epochs_correct.max() >= STABLE_EPOCHS
            if epoch % REPORT_EVERY == 0 or done:
                best = max(
                    range(args.restarts), key=lambda i: (correct[i], epochs_correct[i], -loss[i])
                )
                accuracy = 100 * correct[best].item() / len(points)
                progress.clear()
                if epoch % REPORT_EVERY == 0:
                    print(f"ep: {epoch} loss: {loss[best]:.4f} acc: {accuracy:.2f}", flush=True)
        if done:
            break
        progress.update(epoch, f"epoch {epoch} of at most {args.epoch}")
    return nets.cpu().select(best), epoch


def run_training(args, points: Tensor, target: Tensor, stop: Stop) -> tuple[MLP, dict]:
    """Train from the seed; print the best network's weights and accuracy.

    Returns this network and the results of training.
    """
    seed = process.seed_everything(args.seed)
    if args.restarts > 1:
        print(f"training {args.restarts} networks side by side, showing the best")
    net, epochs = train(args, points.to(args.device), target.to(args.device), stop)
    print_weights(net, "Final")
    print("Final Accuracy: ", accuracy(net, points, target))
    return net, {"seed": seed, "epochs": epochs}


# Output


def print_weights(net: MLP, stage: str) -> None:
    print(f"{stage} Weights:")
    for parameter in net.parameters():
        print(parameter.data)


def accuracy(net: MLP, points: Tensor, target: Tensor) -> float:
    """Return the percentage of points classified correctly."""
    return 100 * correct_points(net, points, target).double().mean().item()


def print_explanation(net: MLP, points: Tensor, target: Tensor) -> None:
    """Print the dividing lines, the table of activations and the misclassified points."""
    print("\nDividing lines of the hidden units (active: activation at least 0.5):")
    for unit, (line, side) in enumerate(dividing_lines(net), 1):
        print(f"  H{unit}: {line}, active {side}")
    rows = activation_table(net, points).tolist()
    names = ["X1", "X2", *(f"H{unit}" for unit in range(1, len(rows[0]))), "Output", "Target"]
    print("\nActivations:")
    print("| " + " | ".join(names) + " |")
    print("|" + " --- |" * len(names))
    digits = 0 if net.act == "step" else 3
    for point, row, label in zip(points.tolist(), rows, target.flatten().tolist(), strict=True):
        cells = [format_number(value) for value in point]
        cells += [f"{value:.{digits}f}" for value in row] + [f"{label:.0f}"]
        print("| " + " | ".join(cells) + " |")
    incorrect = points[~correct_points(net, points, target)].tolist()
    if incorrect:
        names = [f"({format_number(x1)}, {format_number(x2)})" for x1, x2 in incorrect]
        print(f"\nmisclassified: {', '.join(names)}")
    else:
        print(f"\nall {len(points)} points classified correctly")


def run_set_weights(args, points: Tensor, target: Tensor) -> tuple[MLP, dict]:
    """Use the weights entered in check.py; print them and their accuracy.

    Returns the network and its results: the scale and, for sigmoid units, the `correct_scales`.
    """
    scale = args.scale or (1.0 if args.act == "step" else 10.0)
    net = MLP(args.hid, args.act)
    net.set_weights(scale)
    print_weights(net, "Initial")
    print("Initial Accuracy: ", accuracy(net, points, target))
    results = {"scale": scale}
    if args.act == "sig":
        unscaled = MLP(args.hid, args.act)
        unscaled.set_weights()
        results["correct_scales"] = correct_scales(unscaled, points, target)
        print(f"\nweights and biases of check.py multiplied by {scale:g}")
        print(scale_sentence(results["correct_scales"]))
    return net, results


def scale_sentence(scales: list[tuple[float, float]]) -> str:
    """Return the line that reports the intervals of `correct_scales`."""
    success = "the sigmoid network classifies all points correctly"
    if not scales:
        return (
            "at no scale does the sigmoid network classify all points correctly "
            "(an accuracy of 100.0 would be due to rounding)"
        )
    if scales == [(0, math.inf)]:
        return f"{success} at the smallest scale tried and at all larger scales"
    if len(scales) == 1 and scales[0][1] == math.inf:
        return f"smallest scale at which {success}: {scales[0][0]:.5g} (and at all larger scales)"
    intervals = [
        f"{low:.5g} and above" if high == math.inf else f"{low:.5g} to {high:.5g}"
        for low, high in scales
    ]
    return f"scales at which {success}: {', '.join(intervals)}"


def run_design(points: Tensor, target: Tensor) -> tuple[MLP, dict]:
    """Find the step network with the fewest hidden units by exhaustive search; print the proof.

    Returns the network and the number of sets of lines tried for each number of hidden units.
    """
    if target.min() == target.max():
        raise UserError("all targets are the same: no hidden unit is needed")
    design = smallest_design(points.double().numpy(), target.squeeze(1).int().numpy())
    if design is None:
        raise UserError("no network with up to 6 hidden step units classifies these points")
    print_design(design, points)
    net = MLP(len(design.hidden), "step")
    net.enter_weights(design_weights(design))
    print("\nAccuracy: ", accuracy(net, points, target))
    tried = [
        {"hidden_units": count, "sets_of_lines": sets, "solutions": solutions}
        for count, (sets, solutions) in design.tried.items()
    ]
    return net, {"tried": tried}


def print_design(design: Design, points: Tensor) -> None:
    """Print the proof by exhaustion, and the weights ready to paste into check.py."""
    for count, (sets, solutions) in design.tried.items():
        units = "unit: " if count == 1 else "units:"
        found = "1 solution" if solutions == 1 else f"{solutions or 'no'} solutions"
        print(f"{count} hidden {units} {sets:5} sets of lines tried, {found}")
    count = len(design.hidden)
    print(f"minimum number of hidden step units for these {len(points)} points: {count}")
    print('\nSimplest weights, to paste under "Enter Weights Here" in check.py:')
    for name, value in design_weights(design).items():
        print(f"        {name} = {value}")


def design_weights(design: Design) -> dict[str, list]:
    """Return the weights of a design, whole numbers as int, by their names in check.py."""

    def shorten(value: float) -> float | int:
        return int(value) if value == int(value) else value

    return {
        "in_hid_weight": [[shorten(w) for w in unit.weight] for unit in design.hidden],
        "hid_bias": [shorten(unit.bias) for unit in design.hidden],
        "hid_out_weight": [[shorten(w) for w in design.output.weight]],
        "out_bias": [shorten(design.output.bias)],
    }


def network_results(net: MLP, points: Tensor, target: Tensor) -> dict:
    """Return a network's results for --json."""
    output = net(points)
    return {
        "act": net.act,
        "accuracy": accuracy(net, points, target),
        # None for step units, whose outputs are not probabilities.
        "loss": F.binary_cross_entropy(output, target).item() if net.act == "sig" else None,
        "weights": {name: values.detach() for name, values in net.named_parameters()},
        "dividing_lines": [{"line": line, "active": side} for line, side in dividing_lines(net)],
        "points": points,
        "target": target.flatten(),
        "activations": activation_table(net, points),
    }


# Pictures


def save_pictures(net: MLP, points: Tensor, target: Tensor, folder: Path) -> None:
    """Save the pictures of the hidden units, the output and the network in `folder`."""
    hid = len(net.hid_bias)
    # The course's limit for pictures of single units.
    few = hid <= 30
    for unit in range(hid if few else 0):
        picture = pictures.hidden_picture(net, unit, points, target)
        files.save_picture(picture, folder / f"hid_{hid}_{unit}.jpg")
    files.save_picture(pictures.output_picture(net, points, target), folder / f"out_{hid}.jpg")
    picture = pictures.surface_picture(net, points, target)
    files.save_picture(picture, folder / f"out_{hid}_surface.jpg")
    if few:
        files.save_picture(pictures.network_picture(net), folder / f"net_{hid}.jpg")


# The script


def main(argv: list[str] | None = None) -> int:
    """Run the script with the flags `argv`; return its exit status, 3 for a misclassified point."""
    args = parse(argv)
    files.require_writable(args.plot)
    if args.json:
        files.require_savable(args.json, "--json")
    # One thread is faster for matrices of this size.
    torch.set_num_threads(1)
    points, target = read_table(args.data)
    with Stop() as stop:
        if args.design:
            net, results = run_design(points, target)
        elif args.set_weights:
            net, results = run_set_weights(args, points, target)
        else:
            net, results = run_training(args, points, target, stop)
        print_explanation(net, points, target)
        save_pictures(net, points, target, args.plot)
        if args.json:
            files.write_json(args.json, network_results(net, points, target) | results)
    return stop.status or (0 if accuracy(net, points, target) == 100 else 3)


if __name__ == "__main__":
    process.run(main)
