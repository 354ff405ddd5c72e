"""Part 2: a two-layer perceptron on nine points, trained, or with weights designed by hand.

    python3 check_main.py --act sig --hid 5                   train it
    python3 check_main.py --act step --hid 4 --set_weights    step units, weights from check.py
    python3 check_main.py --act sig --hid 4 --set_weights     the same, rescaled for sigmoid units
    python3 check_main.py --design                            the fewest step units, with proof
    python3 check_main.py --recipe assignment --hid 5         train one network as the course does

The exit status is 3 if the network is not right on all points.
"""

from __future__ import annotations

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
from cli import files, flags, process
from cli.errors import UserError
from cli.optimizers import Adam
from cli.process import Progress, Stop
from perceptron import pictures
from perceptron.dichotomies import Design, fewest_units
from perceptron.scales import correct_scales

# Epochs between two lines, and for how many a network must be right before training ends.
REPORT_EVERY, STABLE_EPOCHS = 100, 2000
# Weight decay of the course's Adam.
WEIGHT_DECAY = 1e-5
RECIPES = {
    "assignment": dict(lr=0.001, init=0.15, epoch=200_000, restarts=1),
    "tuned": dict(lr=0.1, init=1.0, epoch=6000, restarts=32),
}


def build_parser() -> flags.Parser:
    """Build the parser."""
    parser = flags.Parser(
        description="Train a two-layer perceptron on points in the plane, or enter its weights.",
        epilog="The recipe 'tuned' trains 32 networks side by side (--lr 0.1 --init 1 --epoch "
        "6000) and shows the best one; 'assignment' trains one as the course does (--lr 0.001 "
        "--init 0.15 --epoch 200000).",
    )
    parser.add_argument("--hid", type=flags.Integer(1, 1000), default=4, help="hidden units")
    parser.add_argument(
        "--act",
        choices=("sig", "step"),
        default="sig",
        help="activation of both layers: sigmoid, or step (only with --set_weights or --design)",
    )
    parser.add_argument(
        "--set_weights",
        action="store_true",
        help='take the weights that stand in check.py under "Enter Weights Here"',
    )
    parser.add_argument(
        "--scale",
        type=flags.Number(0, 1e6, low_excluded=True),
        help="factor on the weights of --set_weights (default: 1 for step, 10 for sig)",
    )
    parser.add_argument(
        "--design",
        action="store_true",
        help="find the fewest step units that solve the data, and prove that fewer cannot",
    )
    parser.add_argument(
        "--recipe", choices=RECIPES, default="tuned", help="values of the flags below, see the end"
    )
    parser.add_argument("--lr", type=flags.Number(0, 100, low_excluded=True), help="learning rate")
    parser.add_argument(
        "--init", type=flags.Number(0, 100), help="standard deviation of the initial weights"
    )
    parser.add_argument("--epoch", type=flags.Integer(1, 10_000_000), help="most training epochs")
    parser.add_argument(
        "--restarts", type=flags.Integer(1, 10_000), help="networks trained side by side"
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
    """Read the flags, completed by the recipe. Raises UserError if they do not fit together."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.act == "step" and not (args.set_weights or args.design):
        parser.error(
            "--act step cannot be trained: the step function's derivative is 0 wherever it has "
            "one, so there is no gradient to follow; add --set_weights, or train with --act sig"
        )
    if args.scale and not args.set_weights:
        parser.error("--scale multiplies the weights of --set_weights; add that flag")
    if args.design and args.set_weights:
        parser.error("--design finds weights itself: leave out --set_weights")
    for name, value in RECIPES[args.recipe].items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    return args


# Training


def train(args, points: Tensor, target: Tensor, stop: Stop) -> tuple[MLP, int]:
    """Train `--restarts` networks on all points (N, 2) at once.

    Returns the best one, on the CPU, and for how many epochs it was trained.

    Each trains as if it were alone: Adam treats every number by itself, and a network's loss
    depends on its own weights only. Ends when one has been right on all points for 2,000 epochs.
    """
    nets = MLP(args.hid, args.act, networks=args.restarts)
    # Drawn on the CPU, so that a seed gives the same start everywhere.
    nets.init_weights(args.init)
    nets.to(points.device)
    optimizer = Adam(nets.parameters(), args.lr, weight_decay=WEIGHT_DECAY, fused=True)
    wanted = target.expand(args.restarts, *target.shape)
    held = torch.zeros(args.restarts, dtype=torch.int64, device=points.device)
    best, progress = 0, Progress(args.epoch)
    for epoch in range(1, args.epoch + 1):
        output = nets(points)
        loss = F.binary_cross_entropy(output, wanted, reduction="none").mean(dim=(1, 2))
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        with torch.no_grad():
            right = ((output >= 0.5) == (wanted >= 0.5)).sum(dim=(1, 2))
            held = (held + 1) * (right == len(points))
            done = stop or epoch == args.epoch or held.max() >= STABLE_EPOCHS
            if epoch % REPORT_EVERY == 0 or done:
                # Right on the most points, for the longest, with the smallest loss.
                best = max(range(args.restarts), key=lambda i: (right[i], held[i], -loss[i]))
                accuracy = 100 * right[best].item() / len(points)
                progress.clear()
                if epoch % REPORT_EVERY == 0:
                    print(f"ep: {epoch} loss: {loss[best]:.4f} acc: {accuracy:.2f}", flush=True)
        if done:
            break
        progress.update(epoch, f"epoch {epoch} of at most {args.epoch}")
    return nets.cpu().select(best), epoch


def by_training(args, points: Tensor, target: Tensor, stop: Stop) -> tuple[MLP, dict]:
    """Train from the seed; print the weights and their accuracy.

    Returns the network and the results of its training.
    """
    seed = process.seed_everything(args.seed)
    if args.restarts > 1:
        print(f"{args.restarts} networks are trained side by side; the best one is shown.")
    net, epochs = train(args, points.to(args.device), target.to(args.device), stop)
    show_weights(net, "Final")
    print("Final Accuracy: ", accuracy(net, points, target))
    return net, {"seed": seed, "epochs": epochs}


# What is printed


def show_weights(net: MLP, when: str) -> None:
    print(f"{when} Weights:")
    for parameter in net.parameters():
        print(parameter.data)


def accuracy(net: MLP, points: Tensor, target: Tensor) -> float:
    """Return the share of points that are classified right, in percent."""
    return 100 * correct_points(net, points, target).double().mean().item()


def explain(net: MLP, points: Tensor, target: Tensor) -> None:
    """Print the dividing lines, the table of activations, and which points are wrong."""
    print("\nDividing lines of the hidden units:")
    for node, (line, side) in enumerate(dividing_lines(net), 1):
        print(f"  H{node}: {line}, active {side}")
    rows = activation_table(net, points).tolist()
    names = ["X1", "X2", *(f"H{node}" for node in range(1, len(rows[0]))), "Output", "Target"]
    print("\nActivations:")
    print("| " + " | ".join(names) + " |")
    print("|" + " --- |" * len(names))
    digits = 0 if net.act == "step" else 3
    for point, row, wanted in zip(points.tolist(), rows, target.flatten().tolist(), strict=True):
        cells = [format_number(value) for value in point]
        cells += [f"{value:.{digits}f}" for value in row] + [f"{wanted:.0f}"]
        print("| " + " | ".join(cells) + " |")
    right = correct_points(net, points, target)
    wrong = [f"({format_number(x)}, {format_number(y)})" for x, y in points[~right].tolist()]
    print(f"\nWrong: {', '.join(wrong)}" if wrong else f"\nAll {len(points)} points are right.")


def by_hand(args, points: Tensor, target: Tensor) -> tuple[MLP, dict]:
    """Take the weights entered in check.py; print them and their accuracy.

    Returns the network, its scale, and the scales at which a sigmoid network is right.
    """
    scale = args.scale or (1.0 if args.act == "step" else 10.0)
    net = MLP(args.hid, args.act)
    net.set_weights(scale)
    show_weights(net, "Initial")
    print("Initial Accuracy: ", accuracy(net, points, target))
    results = {"scale": scale}
    if args.act == "sig":
        plain = MLP(args.hid, args.act)
        plain.set_weights()
        results["correct_scales"] = correct_scales(plain, points, target)
        print(f"\nThe weights of check.py are multiplied by {scale:g}.")
        print(scale_sentence(results["correct_scales"]))
    return net, results


def scale_sentence(scales: list[tuple[float, float]]) -> str:
    """Report at which scales the sigmoid network is right, as `correct_scales` found them."""
    what = "the sigmoid network classifies all points correctly"
    if not scales:
        return (
            "no scale makes the sigmoid network classify all points correctly, however large "
            "(where it seems to, its outputs are rounded)"
        )
    if scales == [(0, math.inf)]:
        return f"{what} at every scale tried, however large"
    if len(scales) == 1 and scales[0][1] == math.inf:
        return f"smallest scale at which {what}: {scales[0][0]:.5g} (also at all larger ones)"
    spans = [
        f"from {low:.5g} on" if high == math.inf else f"{low:.5g} to {high:.5g}"
        for low, high in scales
    ]
    return f"scales at which {what}: {', '.join(spans)}"


def by_search(points: Tensor, target: Tensor) -> tuple[MLP, dict]:
    """Find the step network with the fewest hidden units by trying all; print the proof.

    Returns the network and how many sets of lines were tried.
    """
    if target.min() == target.max():
        raise UserError("all targets are the same: the data need no hidden unit")
    design = fewest_units(points.double().numpy(), target.squeeze(1).int().numpy())
    if design is None:
        raise UserError("no network with up to 6 hidden step units solves these data")
    show_design(design, points)
    net = MLP(len(design.hidden), "step")
    net.enter_weights(design_weights(design))
    print("\nAccuracy: ", accuracy(net, points, target))
    tried = [
        {"hidden_units": count, "sets_of_lines": sets, "solutions": solutions}
        for count, (sets, solutions) in design.tried.items()
    ]
    return net, {"tried": tried}


def show_design(design: Design, points: Tensor) -> None:
    """Print the proof by exhaustion and the weights as check.py takes them."""
    for count, (sets, solutions) in design.tried.items():
        units = "unit " if count == 1 else "units"
        what = f"{solutions} can solve the data" if solutions else "none can solve the data"
        print(f"{count} hidden {units}: {sets} sets of lines tried, {what}")
    count = len(design.hidden)
    print(f"So {count} hidden step units are the fewest that solve these {len(points)} points.")
    print('\nTheir simplest weights, for "Enter Weights Here" in check.py:')
    for name, value in design_weights(design).items():
        print(f"        {name} = {value}")


def design_weights(design: Design) -> dict[str, list]:
    """Return the weights of a design by the names that check.py uses."""

    def plain(value: float) -> float | int:
        return int(value) if value == int(value) else value

    return {
        "in_hid_weight": [[plain(w) for w in unit.weight] for unit in design.hidden],
        "hid_bias": [plain(unit.bias) for unit in design.hidden],
        "hid_out_weight": [[plain(w) for w in design.output.weight]],
        "out_bias": [plain(design.output.bias)],
    }


def network_results(net: MLP, points: Tensor, target: Tensor) -> dict:
    """Return the results of a network, as --json writes them."""
    output = net(points)
    return {
        "act": net.act,
        "accuracy": accuracy(net, points, target),
        # Outputs of step units are not probabilities.
        "loss": F.binary_cross_entropy(output, target).item() if net.act == "sig" else None,
        "weights": {name: values.detach() for name, values in net.named_parameters()},
        "dividing_lines": [{"line": line, "active": side} for line, side in dividing_lines(net)],
        "points": points,
        "target": target.flatten(),
        "activations": activation_table(net, points),
    }


# Pictures


def draw(net: MLP, points: Tensor, target: Tensor, plot: Path) -> None:
    """Save the pictures of every hidden unit, of the output and of the network."""
    count = len(net.hid_bias)
    # A picture of each of a hundred hidden units is of no use; the course draws up to 30.
    for node in range(count if count <= 30 else 0):
        picture = pictures.hidden_picture(net, node, points, target)
        files.save_picture(picture, plot / f"hid_{count}_{node}.jpg")
    files.save_picture(pictures.output_picture(net, points, target), plot / f"out_{count}.jpg")
    picture = pictures.surface_picture(net, points, target)
    files.save_picture(picture, plot / f"out_{count}_surface.jpg")
    if count <= 30:
        files.save_picture(pictures.network_picture(net), plot / f"net_{count}.jpg")


# The script


def main(argv: list[str] | None = None) -> int:
    """Run the script with the flags `argv` and return its exit status, 3 if a point is wrong."""
    args = parse(argv)
    files.require_writable(args.plot)
    if args.json:
        files.require_savable(args.json, "--json")
    # The matrices are so small that threads would only wait for each other.
    torch.set_num_threads(1)
    points, target = read_table(args.data)
    with Stop() as stop:
        if args.design:
            net, results = by_search(points, target)
        elif args.set_weights:
            net, results = by_hand(args, points, target)
        else:
            net, results = by_training(args, points, target, stop)
        explain(net, points, target)
        draw(net, points, target, args.plot)
        if args.json:
            files.write_json(args.json, network_results(net, points, target) | results)
    return stop.status or (0 if accuracy(net, points, target) == 100 else 3)


if __name__ == "__main__":
    process.run(main)
