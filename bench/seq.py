"""Benchmark of Part 3: success rate and speed of seq_train.py, compared with the course's training.

    python3 bench/seq.py [--seeds 100] [--tasks 1,2,...] [--course 100] [--jobs 2]
    python3 bench/seq.py --engines

The first command times seq_train.py with the default recipe, then runs it with --seeds seeds in
--jobs processes and counts successful runs (exact, and the loss below the threshold in the last 10
reports). The course's training, written out below and timed over --course sequences, is a Python
loop over time with autograd, and SGD with one sequence per update.

--engines times forward and backward passes of several implementations on the same sequences.
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
from cli.settings import CommaSeparated, Number
from cli.tables import processor, table

import seq_models
import seq_train
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
    """The course's SRN: a loop over time, with a few torch operations per step."""

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
    """The course's LSTM: a loop over time."""

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
    """Make an update as in the course: sample one sequence, take one step of SGD."""
    sequence = language.batch(1, random)
    x = torch.eye(language.classes)[sequence.symbols[:-1, 0]].unsqueeze(0)
    net.zero_grad()
    log_probability = F.log_softmax(net(x), dim=2)
    F.nll_loss(log_probability.squeeze(0), sequence.symbols[1:, 0]).backward()
    optimizer.step()


def course_time(task: Task, updates: int) -> float:
    """Return the milliseconds per sequence of the course's training."""
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
    """Run seq_train.py as a command; return its wall time in seconds and its results."""
    script = Path(seq_train.__file__)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        words = [sys.executable, str(script), *words, "--json", "results.json"]
        subprocess.run(words, cwd=folder, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        return seconds, json.loads(Path(folder, "results.json").read_text(encoding="utf-8"))


def bench(args: argparse.Namespace) -> None:
    """Print a record for each task: times of one sequence and of the whole command, success."""
    print(f"{processor()}, torch {torch.__version__}, one thread")
    print(
        "milliseconds a sequence and their ratio; seconds of the whole command of seed 0, and the"
    )
    print("ratio; successful runs; mean and worst of the highest loss in the last 10 evaluations")
    for number in args.tasks:
        words = TASKS[number - 1].split()
        task = resolve_task(seq_train.build_parser().parse_args(words))
        epoch = args.epoch or task.default_epoch
        words += ["--epoch", str(epoch)]
        course_ms = course_time(task, args.course)
        seconds, results = run_command([*words, "--seed", "0"])
        our_ms = 1000 * results["seconds"] / results["reports"][-1]["seen"]
        runs = [[*words, "--seed", str(seed)] for seed in range(args.seeds)]
        with ThreadPool(args.jobs) as pool:
            every = [results for _, results in pool.map(run_command, runs, chunksize=1)]
        losses = [results["max_loss"] for results in every]
        record = {
            "course ms": f"{course_ms:.2f}",
            "ours ms": f"{our_ms:.4f}",
            "ratio": f"{course_ms / our_ms:.0f}",
            "command s": f"{seconds:.1f}",
            "command ratio": f"{course_ms * epoch / seconds:.0f}",
            "successful": f"{sum(results['succeeded'] for results in every)} of {args.seeds}",
            "mean loss": f"{statistics.mean(losses):.4f}",
            "worst loss": f"{max(losses):.4f}",
        }
        print(f"\n{' '.join(words)}\n{table([record])}", flush=True)


# Engines


def srn_in_torch(net):
    """Return the SRN's loop in torch operations with autograd, for a whole batch at once."""

    def forward(symbols):
        hidden, steps = net.H0.tanh().expand(symbols.shape[1], -1), []
        for inputs in F.embedding(symbols, net.W) + net.hid_bias:
            hidden = torch.tanh(inputs + hidden @ net.U)
            steps.append(hidden)
        return torch.stack(steps) @ net.V + net.out_bias

    return forward


def compiled_srn(net):
    """Return the SRN's loop, compiled by torch."""
    return torch.compile(srn_in_torch(net))


def lstm_in_torch(net):
    """Return the LSTM's loop in torch operations with autograd, for a whole batch at once."""

    def forward(symbols):
        state, steps = net.initial_state(symbols.shape[1]), []
        for symbol in symbols:
            state = net.step(symbol, state)
            steps.append(state)
        return net.read_out(torch.stack(steps))

    return forward


def torch_module(net):
    """Return the network with torch's nn.RNN or nn.LSTM as its recurrent layer."""
    module_class = nn.RNN if isinstance(net, seq_models.SRN) else nn.LSTM
    module = module_class(net.symbols, net.hid)

    def forward(symbols):
        inputs = F.one_hot(symbols, net.symbols).float()
        return net.read_out(module(inputs)[0])

    return forward


def ours(net):
    """Return the network of seq_models.py."""
    return net


def print_engine_times(language, net, engines: dict, batch_sizes: list[int], repeats: int) -> None:
    """Print a table of engines by batch size: the minimum time of `repeats` updates in ms."""
    sequences = language.batch(max(batch_sizes), np.random.default_rng(0))
    print("engine         " + "".join(f"{f'batch {size}':>12}" for size in batch_sizes))
    for name, build in engines.items():
        forward, cells = build(net), []
        for size in batch_sizes:
            batch = sequences.part(0, size)
            target = batch.symbols[1:].masked_fill(~batch.mask, -100)
            min_seconds = math.inf
            for _ in range(repeats):
                start = time.perf_counter()
                logits = forward(batch.symbols[:-1])
                F.cross_entropy(logits.flatten(0, 1), target.flatten()).backward()
                min_seconds = min(min_seconds, time.perf_counter() - start)
            cells.append(f"{min_seconds * 1000:12.2f}")
        print(f"{name:15}" + "".join(cells), flush=True)


def engines(args: argparse.Namespace) -> None:
    """Print the times of several implementations of the SRN and the LSTM."""
    sizes = [1, 20, 50]
    print(f"{processor()}, torch {torch.__version__}, one thread")
    print("forward and backward pass in ms, minimum of 30 (SRN) or 10 (LSTM) repetitions")
    print("SRN with 2 hidden units, anb2n")
    srn = {"torch, autograd": srn_in_torch, "nn.RNN": torch_module, "numpy (ours)": ours}
    if args.compile:
        srn["torch.compile"] = compiled_srn
    print_engine_times(make_language("anb2n"), seq_models.SRN(2, 2), srn, sizes, 30)
    print("LSTM with 3 hidden units, anb2nc3n")
    lstm = {"torch, autograd": lstm_in_torch, "nn.LSTM": torch_module, "ours": ours}
    print_engine_times(make_language("anb2nc3n"), seq_models.LSTM(3, 3), lstm, sizes, 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=100, help="runs per task")
    parser.add_argument("--jobs", type=int, default=2, help="parallel runs")
    parser.add_argument(
        "--course", type=int, default=100, help="sequences over which the course is timed"
    )
    parser.add_argument("--epoch", type=int, help="thousands of sequences (default: the task's)")
    all_tasks = tuple(range(1, len(TASKS) + 1))
    parser.add_argument(
        "--tasks",
        type=CommaSeparated(Number(1, len(TASKS), int)),
        default=all_tasks,
        help=f"numbers from 1 to {len(TASKS)}, see TASKS (default: all)",
    )
    parser.add_argument(
        "--engines", action="store_true", help="time several implementations instead"
    )
    parser.add_argument("--compile", action="store_true", help="with --engines: also torch.compile")
    args = parser.parse_args()
    torch.set_num_threads(1)
    (engines if args.engines else bench)(args)


if __name__ == "__main__":
    main()
