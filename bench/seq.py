"""How often and how fast the networks of Part 3 learn: seq_train.py against the course's recipe.

    python3 bench/seq.py [--seeds 100] [--tasks 1,2,...] [--course 100] [--jobs 2]
    python3 bench/seq.py --engines

The first times each task's default recipe, the whole command and the training in it, then runs it
from --seeds seeds, in --jobs processes, and counts the runs that end with success (exact, and the
loss below the threshold in the last 10 reports). The course's side is written out below: a Python
loop over time with autograd, one sequence an update, SGD; timed over --course sequences.

--engines times one update by other means, each on the same sequences.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import seq_models
import seq_train
from cli.flags import CommaSeparated, Integer
from recurrent.task import Task, make_language, resolve_task

TASKS = [
    "--lang anb2n",
    "--lang anb2nc3n --model lstm --hid 3",
    "--lang anb2nc3n",
    "--lang anbn",
    "--lang anbncn",
    "--lang reber",
    "--lang reber --embed --model lstm",
]


class CourseSRN(nn.Module):
    """An SRN as the course writes it: a loop over time, each step a few calls of torch."""

    def __init__(self, symbols: int, hid: int):
        super().__init__()
        shapes = ((hid,), (symbols, hid), (hid, hid), (hid,), (hid, symbols), (symbols,))
        self.H0, self.W, self.U, self.hid_bias, self.V, self.out_bias = (
            nn.Parameter(0.001 * torch.randn(shape)) for shape in shapes
        )

    def forward(self, x):
        hidden, steps = torch.tanh(self.H0).expand(x.shape[0], -1), []
        for t in range(x.shape[1]):
            hidden = torch.tanh(x[:, t] @ self.W + hidden @ self.U + self.hid_bias)
            steps.append(hidden.unsqueeze(0))
        steps = torch.cat(steps, dim=0).transpose(0, 1).contiguous()
        return steps @ self.V + self.out_bias


class CourseLSTM(nn.Module):
    """An LSTM as the course writes it."""

    def __init__(self, symbols: int, hid: int):
        super().__init__()
        self.hid = hid
        shapes = ((symbols, 4 * hid), (hid, 4 * hid), (4 * hid,), (hid, symbols), (symbols,))
        self.W, self.U, self.hid_bias, self.V, self.out_bias = (
            nn.Parameter(torch.empty(shape).uniform_(-(hid**-0.5), hid**-0.5)) for shape in shapes
        )

    def forward(self, x):
        hidden = cell = torch.zeros(x.shape[0], self.hid)
        steps, size = [], self.hid
        for t in range(x.shape[1]):
            gates = x[:, t] @ self.W + hidden @ self.U + self.hid_bias
            i = torch.sigmoid(gates[:, :size])
            f = torch.sigmoid(gates[:, size : 2 * size])
            g = torch.tanh(gates[:, 2 * size : 3 * size])
            o = torch.sigmoid(gates[:, 3 * size :])
            cell = f * cell + i * g
            hidden = o * torch.tanh(cell)
            steps.append(hidden.unsqueeze(0))
        steps = torch.cat(steps, dim=0).transpose(0, 1).contiguous()
        return steps @ self.V + self.out_bias


def course_update(net, optimizer, language, random) -> None:
    """One update as the course makes it: draws a sequence, one step of SGD."""
    sequence = language.batch(1, random)
    x = torch.eye(language.classes)[sequence.symbols[:-1, 0]].unsqueeze(0)
    net.zero_grad()
    log_probability = F.log_softmax(net(x), dim=2)
    F.nll_loss(log_probability.squeeze(0), sequence.symbols[1:, 0]).backward()
    optimizer.step()


def course_time(task: Task, updates: int) -> float:
    """Milliseconds that the course's loop takes for a sequence."""
    language = task.language
    net = (CourseSRN if task.model == "srn" else CourseLSTM)(language.classes, task.hid)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.005, weight_decay=1e-4)
    random = np.random.default_rng(0)
    course_update(net, optimizer, language, random)
    start = time.perf_counter()
    for _ in range(updates):
        course_update(net, optimizer, language, random)
    return (time.perf_counter() - start) / updates * 1000


def run_command(words: list[str]) -> tuple[float, dict]:
    """Run seq_train.py as a command; return its seconds, start-up included, and its results."""
    script = Path(seq_train.__file__)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        words = [sys.executable, str(script), *words, "--json", "results.json"]
        subprocess.run(words, cwd=folder, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        return seconds, json.loads(Path(folder, "results.json").read_text(encoding="utf-8"))


def bench(args: argparse.Namespace) -> None:
    print(f"torch {torch.__version__}; one thread; milliseconds for a sequence, and in training;")
    print("seconds of the whole command, and how often they go into the course's loop")
    print("course     ours   ratio   whole   ratio  success    losses: mean   worst  task")
    for number in args.tasks:
        words = TASKS[number - 1].split()
        task = resolve_task(seq_train.build_parser().parse_args(words))
        epoch = args.epoch or task.default_epoch
        words += ["--epoch", str(epoch)]
        theirs = course_time(task, args.course)
        seconds, results = run_command([*words, "--seed", "0"])
        ours = 1000 * results["seconds"] / results["reports"][-1]["seen"]
        runs = [[*words, "--seed", str(seed)] for seed in range(args.seeds)]
        with ThreadPool(args.jobs) as pool:
            ended = [results for _, results in pool.map(run_command, runs, chunksize=1)]
        losses = [results["max_loss"] for results in ended]
        good = f"{sum(results['succeeded'] for results in ended)} of {args.seeds}"
        print(
            f"{theirs:6.2f} {ours:8.4f} {theirs / ours:7.0f} {seconds:7.1f} "
            f"{theirs * epoch / seconds:7.0f}  {good:>10} "
            f"{statistics.mean(losses):12.4f} {max(losses):7.4f}  {' '.join(words)}",
            flush=True,
        )


# Other engines


def in_torch(net):
    """The SRN's loop by torch's calls with autograd, at once for the whole batch."""

    def forward(symbols):
        hidden, steps = net.H0.tanh().expand(symbols.shape[1], -1), []
        for inputs in F.embedding(symbols, net.W) + net.hid_bias:
            hidden = torch.tanh(inputs + hidden @ net.U)
            steps.append(hidden)
        return torch.stack(steps) @ net.V + net.out_bias

    return forward


def by_module(net):
    """Either network by torch's nn.RNN or nn.LSTM."""
    own = (nn.RNN if isinstance(net, seq_models.SRN) else nn.LSTM)(net.symbols, net.hid)

    def forward(symbols):
        inputs = F.one_hot(symbols, net.symbols).float()
        state = tuple(part[None].contiguous() for part in net.initial_state(symbols.shape[1]))
        hidden, _ = own(inputs, state if len(state) > 1 else state[0])
        return hidden @ net.V + net.out_bias

    return forward


def by_us(net):
    return lambda symbols: net(symbols).logits


def engine_times(language, net, engines: dict, sizes: list[int], repeats: int) -> None:
    batch = language.batch(max(sizes), np.random.default_rng(0))
    print("engine         " + "".join(f"{'batch ' + str(size):>12}" for size in sizes))
    for name, make in engines.items():
        forward, cells = make(net), []
        for size in sizes:
            part = batch.part(0, size)
            target = part.symbols[1:].masked_fill(~part.mask, -100)
            best = math.inf
            for _ in range(repeats):
                start = time.perf_counter()
                output = forward(part.symbols[:-1])
                F.cross_entropy(output.flatten(0, 1), target.flatten()).backward()
                best = min(best, time.perf_counter() - start)
            cells.append(f"{best * 1000:12.2f}")
        print(f"{name:15}" + "".join(cells), flush=True)


def compiled(net):
    return torch.compile(in_torch(net))


def engines(args: argparse.Namespace) -> None:
    sizes = [1, 20, 50]
    print("SRN of 2 hidden units on anb2n: milliseconds, forward and backward (best of several)")
    named_engines = {"torch, autograd": in_torch, "nn.RNN": by_module, "numpy (ours)": by_us}
    if args.compile:
        named_engines["torch.compile"] = compiled
    engine_times(make_language("anb2n"), seq_models.SRN(2, 2), named_engines, sizes, 30)
    print("LSTM of 3 hidden units on anb2nc3n")
    kinds = {"torch, autograd": lstm_in_torch, "nn.LSTM": by_module, "ours": by_us}
    engine_times(make_language("anb2nc3n"), seq_models.LSTM(3, 3), kinds, sizes, 10)


def lstm_in_torch(net):
    """The LSTM's loop by torch's calls with autograd, at once for the whole batch."""

    def forward(symbols):
        state, steps = net.initial_state(symbols.shape[1]), []
        for symbol in symbols:
            state = net.step(symbol, state)
            steps.append(state[0])
        return net.read_out(torch.stack(steps))

    return forward


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=100, help="runs of each task")
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time")
    parser.add_argument("--course", type=int, default=100, help="sequences of the course's loop")
    parser.add_argument("--epoch", type=int, help="thousands of sequences (default: the task's)")
    every = tuple(range(1, len(TASKS) + 1))
    parser.add_argument(
        "--tasks", type=CommaSeparated(Integer(1, len(TASKS))), default=every, help="which tasks"
    )
    parser.add_argument("--engines", action="store_true", help="time other ways to compute")
    parser.add_argument("--compile", action="store_true", help="with --engines: torch.compile too")
    args = parser.parse_args()
    torch.set_num_threads(1)
    (engines if args.engines else bench)(args)


if __name__ == "__main__":
    main()
