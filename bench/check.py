"""How often and how fast the perceptron of Part 2 is trained: check_main.py against the course.

    python3 bench/check.py [--seeds 100] [--course 2] [--hid 5,4,3,2]

For each number of hidden units our default recipe runs from so many fresh seeds, and the
course's from a few (it takes long): Adam with lr 0.001, weights from N(0, 0.15), one network, up
to 200,000 epochs through a DataLoader, both ending when all nine points have been right for
2,000 epochs. Prints how many runs ended with all points right, and the seconds of a run.
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
import check
import check_main
from cli.flags import CommaSeparated, Integer
from cli.process import Stop


def course(hid: int, points: torch.Tensor, target: torch.Tensor) -> bool:
    """Train one network as the course does; return whether all points are right at the end."""
    net = nn.Sequential(nn.Linear(2, hid), nn.Sigmoid(), nn.Linear(hid, 1), nn.Sigmoid())
    for parameter in net.parameters():
        nn.init.normal_(parameter, 0, 0.15)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(points, target), batch_size=len(points)
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001, weight_decay=1e-5)
    epoch = count = 0
    while epoch < 200_000 and count < 2000:
        epoch += 1
        for data, wanted in loader:
            optimizer.zero_grad()
            output = net(data)
            F.binary_cross_entropy(output, wanted).backward()
            optimizer.step()
            right = ((output >= 0.5).float() == wanted).all().item()
        count = count + 1 if right else 0
    return bool(((net(points) >= 0.5).float() == target).all())


def ours(hid: int, points: torch.Tensor, target: torch.Tensor) -> bool:
    """Train with check_main.py's defaults; return whether all points are right at the end."""
    args = check_main.parse(["--hid", str(hid)])
    # train prints its epochs; here only the table is wanted.
    with Stop() as stop, contextlib.redirect_stdout(io.StringIO()):
        net, _ = check_main.train(args, points, target, stop)
    return bool(check.correct_points(net, points, target).all())


def measure(train, hid: int, seeds: range, points, target) -> tuple[int, list[float]]:
    """Count the seeds that succeed, and time each in seconds."""
    successes, seconds = 0, []
    for seed in seeds:
        torch.manual_seed(seed)
        start = time.perf_counter()
        successes += train(hid, points, target)
        seconds.append(time.perf_counter() - start)
    return successes, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=100, help="runs of our recipe")
    parser.add_argument("--course", type=int, default=2, help="runs of the course's recipe")
    parser.add_argument(
        "--hid", type=CommaSeparated(Integer(1, 1000)), default=(5, 4, 3, 2), help="hidden units"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)  # as check_main.py does; the course's loop is no slower for it
    points, target = check.read_table(check_main.parse([]).data)
    print(f"torch {torch.__version__}, one thread; median seconds of a run")
    print("hidden units   course: right  seconds   ours: right  seconds  slowest")
    for hid in args.hid:
        good, times = measure(ours, hid, range(args.seeds), points, target)
        line = f"{good:9} of {args.seeds} {statistics.median(times):8.2f} {max(times):8.2f}"
        if args.course:
            theirs, long = measure(course, hid, range(args.course), points, target)
            before = f"{theirs:10} of {args.course} {statistics.median(long):8.1f}"
        else:
            before = " " * 24
        print(f"{hid:12} {before} {line}", flush=True)


if __name__ == "__main__":
    main()
