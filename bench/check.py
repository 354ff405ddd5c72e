"""Success rate and time of training the perceptron of Part 2: check_main.py against the course.

    python3 bench/check.py [--seeds 100] [--course 2] [--hid 5,4,3,2]

For each number of hidden units, runs our default recipe from --seeds seeds and the course's recipe
from --course seeds (it is slow): Adam with lr 0.001, initial weights with standard deviation 0.15,
one network, up to 200,000 epochs through a DataLoader. Both end when all nine points have been
correct for 2,000 epochs. Prints the number of runs that end with all points correct, the median
seconds of a run, and the seconds of the slowest run.
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
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from cli.flags import CommaSeparated, Integer
from cli.process import Stop

import check
import check_main


def train_course(hid: int, points: torch.Tensor, target: torch.Tensor) -> bool:
    """Train one network as the course does; return whether it classifies all points correctly."""
    net = nn.Sequential(nn.Linear(2, hid), nn.Sigmoid(), nn.Linear(hid, 1), nn.Sigmoid())
    for parameter in net.parameters():
        nn.init.normal_(parameter, 0, 0.15)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(points, target), batch_size=len(points)
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001, weight_decay=1e-5)
    epoch = epochs_correct = 0
    while epoch < 200_000 and epochs_correct < 2000:
        epoch += 1
        for batch, batch_target in loader:
            optimizer.zero_grad()
            output = net(batch)
            F.binary_cross_entropy(output, batch_target).backward()
            optimizer.step()
            correct = ((output >= 0.5).float() == batch_target).all().item()
        epochs_correct = epochs_correct + 1 if correct else 0
    return bool(((net(points) >= 0.5).float() == target).all())


def train_ours(hid: int, points: torch.Tensor, target: torch.Tensor) -> bool:
    """Train by check_main.py's default recipe; return whether all points are correct."""
    args = check_main.parse(["--hid", str(hid)])
    # Discard the training lines.
    with Stop() as stop, contextlib.redirect_stdout(io.StringIO()):
        net, _ = check_main.train(args, points, target, stop)
    return bool(check.correct_points(net, points, target).all())


def measure(train, hid: int, seeds: range, points, target) -> tuple[int, list[float]]:
    """Return the number of seeds whose training succeeds, and the seconds of each run."""
    successes, seconds = 0, []
    for seed in seeds:
        torch.manual_seed(seed)
        start = time.perf_counter()
        successes += train(hid, points, target)
        seconds.append(time.perf_counter() - start)
    return successes, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=100, help="number of runs of our recipe")
    parser.add_argument(
        "--course", type=int, default=2, help="number of runs of the course's recipe"
    )
    parser.add_argument(
        "--hid", type=CommaSeparated(Integer(1, 1000)), default=(5, 4, 3, 2), help="hidden units"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)  # as check_main.py does; it does not slow down the course's loop
    points, target = check.read_table(check_main.parse([]).data)
    print(f"torch {torch.__version__}, one thread; median seconds of a run")
    print("hidden units   course: correct  seconds   ours: correct  seconds  slowest")
    for hid in args.hid:
        successes, seconds = measure(train_ours, hid, range(args.seeds), points, target)
        rate = f"{successes} of {args.seeds}"
        ours = f"{rate:>15} {statistics.median(seconds):8.2f} {max(seconds):8.2f}"
        course = " " * 26
        if args.course:
            successes, seconds = measure(train_course, hid, range(args.course), points, target)
            rate = f"{successes} of {args.course}"
            course = f"{rate:>17} {statistics.median(seconds):8.1f}"
        print(f"{hid:12} {course} {ours}", flush=True)


if __name__ == "__main__":
    main()
