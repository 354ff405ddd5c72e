"""Success rate and time of training the perceptron of Part 2: check_main.py against the course.

    python3 bench/check.py [--seeds 100] [--course 2] [--hid 5,4,3,2]

For each number of hidden units, runs our default recipe from --seeds seeds and the course's recipe
from --course seeds (it is slow): Adam with lr 0.001, initial weights with standard deviation 0.15,
one network, up to 200,000 epochs through a DataLoader. Both end when all nine points have been
correct for 2,000 epochs.
"""

import argparse
import contextlib
import io
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from cli.process import Stop
from cli.settings import CommaSeparated, Number
from cli.tables import processor, table

import check
import check_main
from perceptron.points import read_table
from perceptron.training import RECIPES, STABLE_EPOCHS, init_weights, train, two_layers


def train_course(hid: int, points: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Train one network as the course does; return its outputs."""
    recipe, net = RECIPES["assignment"], check.MLP(hid, "sig")
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, 0, recipe.init)
    data = torch.utils.data.TensorDataset(points, target)
    loader = torch.utils.data.DataLoader(data, batch_size=len(points))
    optimizer = torch.optim.Adam(net.parameters(), lr=recipe.lr, weight_decay=1e-5)
    epoch = epochs_correct = 0
    while epoch < recipe.epoch and epochs_correct < STABLE_EPOCHS:
        epoch += 1
        for batch, batch_target in loader:
            optimizer.zero_grad()
            output = net(batch)
            F.binary_cross_entropy(output, batch_target).backward()
            optimizer.step()
            correct = ((output >= 0.5).float() == batch_target).all().item()
        epochs_correct = epochs_correct + 1 if correct else 0
    return net(points)


def train_ours(hid: int, points: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Train by check_main.py's default recipe; return the best network's outputs."""
    recipe = RECIPES["tuned"]
    # Discard the training lines.
    with Stop() as stop, contextlib.redirect_stdout(io.StringIO()):
        weights, _ = train(init_weights(recipe, hid), recipe, points, target, stop)
    return two_layers(points, *weights)


def measure(train, hid: int, seeds: int, points, target) -> dict:
    """Return a record: runs with all points correct, and seconds of processor time of a run."""
    correct, seconds = 0, []
    for seed in range(seeds):
        torch.manual_seed(seed)
        start = time.process_time()
        outputs = train(hid, points, target)
        seconds.append(time.process_time() - start)
        correct += bool(((outputs >= 0.5) == (target == 1)).all())
    return {
        "hidden units": hid,
        "recipe": "course" if train is train_course else "ours",
        "correct": f"{correct} of {seeds}",
        "median seconds": statistics.median(seconds),
        "slowest": max(seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=100, help="runs of our recipe")
    parser.add_argument("--course", type=int, default=2, help="runs of the course's recipe")
    sizes = CommaSeparated(Number(1, 1000, int))
    parser.add_argument("--hid", type=sizes, default=(5, 4, 3, 2), help="hidden units")
    args = parser.parse_args()
    torch.set_num_threads(1)  # as check_main.py does; it does not slow down the course's loop
    points, target = read_table(check_main.parse([]).data)
    runs = [
        measure(train, hid, seeds, points, target)
        for hid in args.hid
        for train, seeds in ((train_course, args.course), (train_ours, args.seeds))
        if seeds
    ]
    print(f"{processor()}, torch {torch.__version__}, one thread; seconds of processor time")
    print(table(runs, {"median seconds": ".2f", "slowest": ".2f"}))


if __name__ == "__main__":
    main()
