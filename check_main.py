"""Part 2: a two-layer perceptron on nine points, trained or with weights designed by hand.

    python3 check_main.py --act sig --hid 5                   train sigmoid units
    python3 check_main.py --act step --hid 4 --set_weights    step units, weights from check.py
    python3 check_main.py --act sig --hid 4 --set_weights     the same, rescaled for sigmoid units
    python3 check_main.py --design                            minimum number of step units, proved
    python3 check_main.py --recipe assignment --hid 5         train one network as the course does

The first classifies all nine points in 100 of 100 runs; training takes 1.75 s of processor time
(median; slowest run 2.75 s) on one thread of an AMD EPYC (Zen 3) with torch 2.14:
`python3 bench/check.py --hid 5 --course 0`. Four step units are the fewest, by exhaustive search.

The exit status is 3 if the network misclassifies a point.
"""

from __future__ import annotations

from cli import files, process, settings
from cli.process import Stop, UserError
from cli.tables import in_short, table

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perceptron import pictures
from perceptron.dichotomies import MAX_UNITS, smallest_design
from perceptron.network import (
    activations,
    correct_points,
    dividing_lines,
    format_number,
    format_weights,
    make_net,
    weights,
)
from perceptron.points import read_table
from perceptron.scales import sigmoid_test, smallest_scale
from perceptron.summary import summary
from perceptron.training import RECIPES, Recipe, init_weights, train, two_layers


def build_parser() -> settings.Parser:
    """Return the script's parser."""
    parser = settings.Parser(
        description="Train a two-layer perceptron on points in the plane, or design its weights.",
        epilog="  ".join(
            f"--recipe {name} is {settings.format_flags(recipe)}."
            for name, recipe in RECIPES.items()
        ),
    )
    add = parser.add_argument
    add("--hid", type=settings.Number(1, 1000, int), default=4, help="number of hidden units")
    add(
        "--act",
        choices=("sig", "step"),
        default="sig",
        help="activation of both layers: sigmoid, or step (only with --set_weights or --design)",
    )
    source = parser.add_mutually_exclusive_group()
    help = 'use the weights entered in check.py under "Enter Weights Here"'
    source.add_argument("--set_weights", action="store_true", help=help)
    add(
        "--scale",
        type=settings.Number(0, 1e6, low_excluded=True),
        help="factor for the weights of --set_weights (default: 1; 10 for sigmoid units that "
        "misclassify a point with 1)",
    )
    help = "find the minimum number of hidden step units for the data, with weights and proof"
    source.add_argument("--design", action="store_true", help=help)
    help = "defaults of --lr, --init, --epoch and --restarts, listed below"
    add("--recipe", choices=RECIPES, default="tuned", help=help)
    settings.add_flags(parser, Recipe)
    add(
        "--data",
        type=settings.path,
        default=Path(__file__).parent / "data" / "check.csv",
        metavar="FILE",
        help="points and targets: CSV with the columns X1, X2 and T",
    )
    settings.add_common_flags(parser)
    return parser


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Return the flags. Raises UserError if they are incompatible."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.act == "step" and not (args.set_weights or args.design):
        parser.error(
            "--act step cannot be trained: the step function's derivative is 0 wherever it has "
            "one, so there is no gradient to follow; add --set_weights, or train with --act sig"
        )
    if args.scale and not args.set_weights:
        parser.error("--scale multiplies the weights of --set_weights: add that flag")
    return args


# The three ways to a network. Each prints how it was found, and returns it with its own results.


def trained(args, points: Tensor, target: Tensor, stop: Stop) -> tuple[nn.Module, dict]:
    """Train from the seed; print the best network's weights and accuracy."""
    seed = process.seed_everything(args.seed)
    recipe = settings.chosen(args, RECIPES[args.recipe])
    if recipe.restarts > 1:
        print(f"training {recipe.restarts} networks side by side, showing the best")
    data = points.to(args.device), target.to(args.device)
    with stop:
        values, results = train(init_weights(recipe, args.hid), recipe, *data, stop)
    net = make_net(args.hid, "sig", values)
    if not net(points).allclose(two_layers(points, *values), atol=1e-4):
        raise UserError("check.py: its MLP is not two layers of sigmoid units, which are trained")
    print_network(net, points, target, "Final")
    return net, {"seed": seed, **results}


def entered(args, points: Tensor, target: Tensor) -> tuple[nn.Module, dict]:
    """Use the weights entered in check.py, rescaled if needed; print them and their accuracy."""
    net = make_net(args.hid, args.act)
    works = args.act == "step" or bool(correct_points(net, points, target).all())
    scale = args.scale or (1.0 if works else 10.0)
    values = list(weights(net).values())
    net = make_net(args.hid, args.act, [value * scale for value in values])
    print_network(net, points, target, "Initial")
    results = {"scale": scale}
    if args.act == "sig":
        step = make_net(args.hid, "step", weights(net).values())
        difference = activations(net, points) - activations(step, points)
        results["step_difference"] = difference.abs().max().item()
        results["smallest_scale"] = smallest_scale(sigmoid_test(values, points, target))
        if scale != 1:
            print(f"\nweights and biases of check.py multiplied by {scale:g}")
            if correct_points(net, points, target).all():
                print_weights_to_paste(net, "Rescaled weights")
        elif not args.scale:
            print("\nweights and biases of check.py used as entered: they are large enough")
    return net, results


def designed(points: Tensor, target: Tensor) -> tuple[nn.Module, dict]:
    """Find the step network with the fewest hidden units by exhaustive search; print the proof."""
    if target.min() == target.max():
        raise UserError("all targets are the same: no hidden unit is needed")
    values, tried = smallest_design(points.double().numpy(), target.flatten().numpy())
    print(table(tried))
    if values is None:
        raise UserError(f"no network with up to {MAX_UNITS} hidden step units solves this table")
    net = make_net(len(values[1]), "step", values)
    print_weights_to_paste(net, "Weights")
    print("\nAccuracy: ", accuracy(net, points, target))
    return net, {"tried": tried}


# Output


def accuracy(net: nn.Module, points: Tensor, target: Tensor) -> float:
    """Return the percentage of points classified correctly."""
    return 100 * correct_points(net, points, target).double().mean().item()


def print_network(net: nn.Module, points: Tensor, target: Tensor, stage: str) -> None:
    """Print a network's weights and accuracy as the course does."""
    print(f"{stage} Weights:")
    for parameter in net.parameters():
        print(parameter.data)
    print(f"{stage} Accuracy: ", accuracy(net, points, target))


def print_weights_to_paste(net: nn.Module, title: str) -> None:
    print(f'\n{title}, to paste under "Enter Weights Here" in check.py:')
    print(format_weights(net))


def print_activations(results: dict) -> None:
    """Print the table of activations in Markdown, for a report."""
    rows = results["activations"].tolist()
    units = [each["unit"] for each in results["dividing_lines"]]
    print("\nActivations:")
    heading = ["X1", "X2", *units, "Output", "Target"]
    lines, digits = [heading, ["---"] * len(heading)], 0 if results["act"] == "step" else 3
    points, labels = results["points"].tolist(), results["target"].tolist()
    for point, row, label in zip(points, rows, labels, strict=True):
        cells = [f"{value:.{digits}f}" for value in row]
        lines.append([*map(format_number, point), *cells, f"{label:.0f}"])
    print("\n".join(f"| {' | '.join(line)} |" for line in lines))


def measure(net: nn.Module, points: Tensor, target: Tensor) -> dict:
    """Return a network's results, which are printed and written by --json."""
    rows = activations(net, points)
    return {
        "act": net.act,
        "accuracy": accuracy(net, points, target),
        # None for step units, whose outputs are not probabilities.
        "loss": F.binary_cross_entropy(rows[:, -1:], target).item() if net.act == "sig" else None,
        "weights": weights(net),
        "dividing_lines": dividing_lines(net),
        "points": points,
        "target": target.flatten(),
        "activations": rows,
        "misclassified": points[~correct_points(net, points, target)].tolist(),
    }


def save_pictures(net: nn.Module, args, points: Tensor, target: Tensor) -> None:
    """Save the pictures of the hidden units, the output and the network in `args.plot`."""
    hid = len(weights(net)["hid_bias"])
    # The assignment names the pictures; those of --design must not replace them.
    prefix = "design_" if args.design else ""
    diagram = f"net_{hid}_{net.act}" if args.set_weights else f"{prefix}net_{hid}"
    # The course's limit for pictures of single units.
    few = hid <= 30
    for unit in range(hid if few else 0):
        picture = pictures.unit_picture(net, points, target, unit)
        files.save_picture(picture, args.plot / f"{prefix}hid_{hid}_{unit}.jpg")
    picture = pictures.unit_picture(net, points, target)
    files.save_picture(picture, args.plot / f"{prefix}out_{hid}.jpg")
    if few:
        files.save_picture(pictures.network_picture(net), args.plot / f"{diagram}.jpg")


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
    stop = Stop()
    if args.design:
        net, found = designed(points, target)
    elif args.set_weights:
        net, found = entered(args, points, target)
    else:
        net, found = trained(args, points, target, stop)
    results = measure(net, points, target) | found
    results["sentences"] = summary(results)
    print("\nDividing lines of the hidden units (active: activation at least 0.5)")
    print(table(results["dividing_lines"]))
    print_activations(results)
    print()
    save_pictures(net, args, points, target)
    if args.json:
        files.write_json(args.json, results)
    print(in_short(results["sentences"]))
    return stop.status or (3 if results["misclassified"] else 0)


if __name__ == "__main__":
    process.run(main)
