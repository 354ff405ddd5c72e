"""Time an epoch of 60,000 images: the course's training against kuzu_main.py.

    python3 bench/kuzu.py [--images 60000] [--rounds 3]

Runs both in turn in one process, on images of noise, because their content does not affect the
time. The course's training is torchvision's KMNIST in a DataLoader with ToTensor and Normalize,
batches of 64, SGD, and for NetConv the assignment's network (64 filters of 5 x 5, 128 of 3 x 3,
138,250 parameters). Ours is kuzu_main.train with the default recipe and number of threads,
augmentation included.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torchvision import transforms
from torchvision.datasets import KMNIST

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from cli.process import Progress, Stop
from cli.tables import processor

import kuzu_main
from kuzushiji.dataset import load_kmnist
from kuzushiji.recipes import NETS, RECIPES

EPOCH = 60_000


def course_conv() -> nn.Module:
    """Return the convolutional network of the assignment."""
    layers = [nn.Conv2d(1, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 7 * 7, 10), nn.LogSoftmax(dim=1))


COURSE = {
    "lin": lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.LogSoftmax(dim=1)),
    "full": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(784, 100), nn.Tanh(), nn.Linear(100, 10), nn.LogSoftmax(dim=1)
    ),
    "conv": course_conv,
}


def write_noise(root: Path, count: int) -> None:
    """Write a data set of noise in KMNIST's format."""
    raw = root / "KMNIST" / "raw"
    raw.mkdir(parents=True)
    random = np.random.default_rng(0)
    for split, number in (("train", count), ("t10k", 10)):
        images = np.array([0x803, number, 28, 28], ">i4").tobytes()
        images += random.integers(0, 256, (number, 28, 28), np.uint8).tobytes()
        (raw / f"{split}-images-idx3-ubyte").write_bytes(images)
        labels = np.array([0x801, number], ">i4").tobytes()
        labels += random.integers(0, 10, number, np.uint8).tobytes()
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(labels)


def course_epoch(net: nn.Module, root: Path) -> None:
    """Train for an epoch as the course does."""
    steps = [transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))]
    images = KMNIST(root, transform=transforms.Compose(steps))
    loader = torch.utils.data.DataLoader(images, batch_size=64, shuffle=False)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.5)
    net.train()
    for data, target in loader:
        optimizer.zero_grad()
        F.nll_loss(net(data), target).backward()
        optimizer.step()


def our_epoch(name: str, root: Path) -> None:
    """Train for an epoch as `kuzu_main.py --net NAME` does, reading the images included."""
    images = load_kmnist(root)
    run = kuzu_main.start(name, RECIPES["tuned", name], 1, 0, images)
    with Stop() as stop:
        kuzu_main.train(run, images, stop, Progress(len(images.train)), quiet=True)


def seconds(function, *arguments) -> float:
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--images", type=int, default=EPOCH, help="images (times are scaled to 60,000)"
    )
    parser.add_argument("--rounds", type=int, default=1, help="repetitions")
    args = parser.parse_args()
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    print(f"{processor()}, torch {torch.__version__}, {threads} threads; seconds per 60,000 images")
    print("network   course   ours   ratio")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_noise(root, args.images)
        scale = EPOCH / args.images
        for name, course in COURSE.items():
            theirs, ours = [], []
            for _ in range(args.rounds):
                torch.set_num_threads(threads)
                theirs.append(seconds(course_epoch, course(), root) * scale)
                torch.set_num_threads(threads if name == "conv" else 1)
                ours.append(seconds(our_epoch, name, root) * scale)
            ratio = statistics.median(a / b for a, b in zip(theirs, ours, strict=True))
            print(
                f"{NETS[name]:8} {statistics.median(theirs):7.1f} "
                f"{statistics.median(ours):6.1f} {ratio:7.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
