"""Part 3: train a recurrent network to predict the next symbol of a language.

    python3 seq_train.py --lang anb2n                              the brief's SRN
    python3 seq_train.py --lang anb2nc3n --model lstm --hid 3      the brief's LSTM
    python3 seq_train.py --lang anb2n --recipe brief               as the course trains
    python3 seq_train.py --lang reber --embed --model lstm         a language that needs a memory
    python3 seq_train.py --resume net/anb2n_srn2_40.pth            go on where a run ended

An epoch is one sequence of five words; --epoch counts thousands of them. torch and matplotlib are
imported inside the functions, so that --help and a mistyped flag are answered at once.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import astuple, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import script
from script import Fault, Progress, Stop

if TYPE_CHECKING:
    import torch

    from language import Language, Sequences
    from prediction import Score

# Sequences between two reports; they are drawn together, by a seed of their own.
BLOCK = 1000
# A checkpoint is kept after so many blocks.
KEPT = 10
# Success is a loss below the language's bar in so many last reports, and an exact prediction.
LAST = 10
# Exit status when training ends without success.
FAILED = 3

TASK = ("lang", "embed", "length", "model", "hid")
# Hidden units and thousands of sequences for each language and network; the first three rows are
# the course's. What is not here gets as many hidden units as symbols, and 100.
DEFAULTS = {
    ("anb2n", "srn"): (2, 100),
    ("anb2nc3n", "lstm"): (3, 100),
    ("anb2nc3n", "srn"): (4, 200),
    ("reber", "srn"): (2, 50),
    ("reber", "lstm"): (2, 50),
    ("reber_embed", "srn"): (8, 100),
    ("reber_embed", "lstm"): (8, 50),
    ("anbncn", "srn"): (4, 100),
}
# What a flag is where the user does not set it. "brief" is the course's own training, "best" was
# chosen by experiment (README.md, "How the recipes of Part 3 were found").
_BRIEF = dict(
    optim="sgd", lr=0.005, mom=0.0, beta2=0.999, decay=1e-4, batch=1, schedule="constant", clip=0.0,
)  # fmt: skip
_BEST = dict(
    optim="adam", lr=0.03, mom=0.9, beta2=0.99, decay=0.0, batch=50, schedule="onecycle", clip=1.0,
)  # fmt: skip
RECIPES = {
    "brief": {"srn": _BRIEF | dict(init=0.001, identity=False), "lstm": _BRIEF},
    "best": {"srn": _BEST | dict(batch=20, init=0.1, identity=True), "lstm": _BEST},
}
# What "best" has instead for single languages. Reber's states need no counting, which is what the
# identity is for.
INSTEAD = {
    ("reber", "srn"): dict(lr=0.05, init=0.5, identity=False),
    ("reber_embed", "lstm"): dict(batch=25),
}


def add_task_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say what is learned by what: the same for training and plotting."""
    parser.add_argument(
        "--lang",
        metavar="NAME",
        help="reber, or a counting language: anbn, anb2n, anbncn, anb2nc3n, ... (default: anb2n)",
    )
    script.add_switch(parser, "--embed", "the embedded Reber grammar")
    parser.add_argument(
        "--length",
        type=script.integer(0, 40),
        help="highest n (default: 4); reber: least number of symbols in a word",
    )
    parser.add_argument("--model", choices=("srn", "lstm"), help="network (default: srn)")
    parser.add_argument(
        "--hid",
        type=script.integer(0, 1000),
        help="hidden units (default, or 0: as many as the course takes, or one for each symbol)",
    )


def describe(args: argparse.Namespace) -> tuple[dict, Language, int]:
    """What add_task_flags asks for, with nothing left open; its language; its default --epoch."""
    import language

    lang, model = "anb2n" if args.lang is None else args.lang, args.model or "srn"
    if args.embed and lang != "reber":
        raise Fault(f"--embed goes with --lang reber, not with --lang {lang}", status=2)
    try:
        learned = language.named(lang, args.length or 0, bool(args.embed))
    except ValueError as error:
        raise Fault(f"argument --lang: {error}", status=2) from None
    hid, epoch = DEFAULTS.get((learned.name, model), (learned.classes, 100))
    task = {"lang": lang, "embed": bool(args.embed), "length": learned.length, "model": model}
    return task | {"hid": args.hid or hid}, learned, epoch


def flags() -> script.Parser:
    """The script's flags."""
    integer, number = script.integer, script.number
    parser = script.Parser(
        description="Train a recurrent network to predict the next symbol of a language.",
        epilog="Flags without a default take the recipe's value, which is printed.",
    )
    add_task_flags(parser)
    parser.add_argument("--epoch", type=integer(0, 1_000_000), help="thousands of sequences")
    parser.add_argument(
        "--out_path",
        type=script.path,
        default=Path("net"),
        metavar="DIR",
        help="folder for checkpoints",
    )
    script.add_common_flags(parser)
    parser.add_argument("--verbose", action="store_true", help="print more of the sequences")
    parser.add_argument(
        "--resume",
        type=script.path,
        metavar="FILE",
        help="go on from a checkpoint, with its flags; the end is that of an unbroken run",
    )

    group = parser.add_argument_group("training")
    group.add_argument(
        "--recipe",
        choices=RECIPES,
        default="best",
        help="values of all flags below that are not given: the course's own "
        "(SGD, one sequence at a time) or the best that we found",
    )
    group.add_argument("--optim", choices=("sgd", "adam"), help="optimiser")
    group.add_argument("--lr", type=number(0, 100, above=True), help="(highest) learning rate")
    group.add_argument("--mom", type=number(0, 0.9999), help="momentum (adam: beta 1)")
    group.add_argument("--beta2", type=number(0, 0.99999), help="adam: beta 2")
    group.add_argument("--decay", type=number(0, 100), help="weight decay")
    group.add_argument("--init", type=number(0, 100), help="deviation of the first weights (srn)")
    script.add_switch(group, "--identity", "start the recurrent weights at the identity (srn)")
    group.add_argument("--batch", type=integer(1, BLOCK), help="sequences in an update")
    group.add_argument(
        "--schedule",
        choices=("constant", "cosine", "onecycle"),
        help="learning rate over time: constant, down to 0, or up and then down to 0",
    )
    group.add_argument("--clip", type=number(0, 1e9), help="longest gradient, 0 for any")
    return parser


def stem(task: dict, language: Language) -> str:
    """anb2n_srn2: what the names of a network's files begin with."""
    return f"{language.name}_{task['model']}{task['hid']}"


# What the files hold


def restore(content: dict, args: argparse.Namespace) -> tuple[dict, Language, SimpleNamespace, Any]:
    """Task, language, recipe and network of a checkpoint; ValueError if it is none of ours.

    The course's own files hold weights and nothing else: task and language are then what the flags
    say, the recipe is empty.
    """
    import checkpoint
    from seq_models import PARAMETERS

    try:
        if set(content) in PARAMETERS:
            recipe = SimpleNamespace(init=1.0, identity=False)
            (task, language, _), weights = describe(args), content
        else:
            # A file's values must be such as the command line would take.
            known, kept = flags(), dict(content["task"])
            asked = {name: known.value(name, kept[name]) for name in TASK}
            task, language, _ = describe(argparse.Namespace(**asked))
            names, kept = RECIPES["best"][task["model"]], dict(content["recipe"])
            recipe = {name: known.value(name, kept[name]) for name in names}
            recipe, weights = SimpleNamespace(**recipe), content["net"]
        net = build(task, language, recipe)
        checkpoint.check_weights(net, weights)
        net.load_state_dict(weights)
    except checkpoint.UNFIT as error:
        raise ValueError(str(error)) from error
    return task, language, recipe, net


# Training


def build(task: dict, language: Language, recipe: SimpleNamespace) -> torch.nn.Module:
    """A network with its first weights."""
    import seq_models

    if task["model"] == "srn":
        return seq_models.SRN(language.classes, task["hid"], recipe.init, recipe.identity)
    return seq_models.LSTM(language.classes, task["hid"])


def optimiser(recipe: SimpleNamespace, net: torch.nn.Module) -> torch.optim.Optimizer:
    from torch import optim

    if recipe.optim == "sgd":
        return optim.SGD(net.parameters(), recipe.lr, recipe.mom, weight_decay=recipe.decay)
    betas = (recipe.mom, recipe.beta2)
    return optim.Adam(net.parameters(), recipe.lr, betas, weight_decay=recipe.decay, fused=True)


def rate(recipe: SimpleNamespace, share: float) -> float:
    """The learning rate when `share` of training is over."""
    if recipe.schedule == "constant":
        return recipe.lr
    rise = 0.2 if recipe.schedule == "onecycle" else 0
    if share < rise:
        return recipe.lr * (0.04 + 0.96 * share / rise)
    return recipe.lr * (1 + math.cos(math.pi * (share - rise) / (1 - rise))) / 2


def draw(language: Language, seed: int, block: int) -> Sequences:
    """The sequences of one block: the same for a seed, however a run came to it."""
    import numpy as np

    return language.batch(BLOCK, np.random.default_rng([seed, block]))


def train(run: Run, sequences: Sequences, stop: Stop) -> None:
    """Train on the rest of a block of sequences; ends early when `stop` is asked for."""
    import torch.nn.functional as F
    from torch.nn.utils import clip_grad_norm_

    recipe, net, optimizer = run.recipe, run.net, run.optimizer
    # A symbol of -100 is none: cross entropy leaves it out.
    target = sequences.symbols[1:].masked_fill(~sequences.mask, -100)
    for begin in range(run.seen % BLOCK, sequences.count, recipe.batch):
        if stop:
            return
        part = sequences.part(begin, begin + recipe.batch)
        wanted = target[: len(part.mask), begin : begin + recipe.batch]
        output = net(part.symbols[:-1]).output
        loss = F.cross_entropy(output.flatten(0, 1), wanted.flatten())
        optimizer.zero_grad()
        loss.backward()
        if recipe.clip:
            clip_grad_norm_(net.parameters(), recipe.clip)
        for group in optimizer.param_groups:
            group["lr"] = rate(recipe, run.seen / (run.epoch * BLOCK))
        optimizer.step()
        run.seen += part.count


# What is printed and drawn


def state(scores: list[Score], bar: float) -> str:
    """The learning state in one word, from the Scores of all reports so far.

    learned: exact, and below the bar in the last 10 reports; exact: right everywhere, but not for
    so long; stuck: the loss is no lower than 10 reports ago; else learning.
    """
    if scores[-1].exact:
        return "learned" if succeeded(scores, bar) else "exact"
    if len(scores) > LAST and scores[-1].loss > 0.99 * scores[-1 - LAST].loss:
        return "stuck"
    return "learning"


def succeeded(scores: list[Score], bar: float) -> bool:
    """Whether training succeeded: exact at its end, the loss below the bar in the last reports."""
    return scores[-1].exact and all(score.loss < bar for score in scores[-LAST:])


def sample(run: Run, verbose: bool) -> str:
    """The symbols that a report shows: one short word, always the same, or a drawn sequence."""
    language = run.language
    if verbose:
        import numpy as np

        sequence = language.sequence(np.random.default_rng([run.seed, run.seen, BLOCK]))
        return language.spell(sequence.symbols[:-1, 0])
    words = language.listed or language.words(12)
    return words[min(2, len(words) - 1)]


def print_numbers_as_the_course() -> None:
    """Have numpy print arrays as the course's scripts do: two digits, a place for the sign."""
    import numpy as np

    np.set_printoptions(precision=2, suppress=True, sign=" ", floatmode="fixed", linewidth=200)


def print_sequence(net, language: Language, text: str, context: bool = False) -> None:
    """Print what a network does on `text`: a line for each symbol, with the hidden activations
    after it, the context units' if asked for, and the output probabilities."""
    import torch

    symbols = language.spelled([text]).symbols
    with torch.no_grad():
        run = net(symbols[:-1].to(net.V.device))
    hidden, probability = run.hidden[:, 0].cpu().numpy(), run.output[:, 0].softmax(-1).cpu().numpy()
    columns = [hidden, run.context[:, 0].cpu().numpy()] if context else [hidden]
    print(f"-----\nsymbol= {language.spell(symbols[:, 0])}")
    units = "hidden and context" if context else "hidden"
    print(f"{units} activations and output probabilities [{language.symbols}]:")
    for row in zip(text, *columns, probability, strict=True):
        print(*row)


def report(run: Run, text: str, score: Score) -> None:
    """Print what the network does on `text`, symbol by symbol, and its Score."""
    language = run.language
    print_sequence(run.net, language, text)
    word = state([score for _, score in run.reports], language.bar)
    print(f"epoch: {run.seen}\n loss: {score.loss:.4f}")
    print(f" {score.right} of {score.asked} certain symbols predicted: {word}", flush=True)


def curve_picture(run: Run):
    """A Figure of the loss, and of the share of certain symbols predicted, against sequences."""
    from matplotlib.figure import Figure

    language = run.language
    figure = Figure(figsize=(7, 5), dpi=100, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    seen = [number / BLOCK for number, _ in run.reports]
    upper.plot(seen, [score.loss for _, score in run.reports], color="tab:blue")
    upper.axhline(language.bar, color="0.4", linestyle="--")
    upper.annotate(
        f"success below {language.bar:.3g}",
        (1, language.bar),
        (-4, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
    )
    upper.set(yscale="log", ylabel="loss", title=f"{run.title} learns {language.name}")
    shares = [100 * score.right / score.asked for _, score in run.reports]
    lower.plot(seen, shares, color="tab:orange")
    lower.set(xlabel="thousands of sequences", ylabel="certain symbols\npredicted (%)")
    lower.set_ylim(top=102)
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    return figure


def conclude(run: Run) -> None:
    """Print whether training succeeded, how long it took and how far the network reaches."""
    from prediction import reach, remembered

    language, last = run.language, [score for _, score in run.reports][-LAST:]
    verdict = "succeeded" if succeeded(last, language.bar) else "did not succeed"
    print(
        f"training {verdict}: loss at most {max(score.loss for score in last):.4f} in the last "
        f"{len(last)} reports (wanted: below {language.bar:.3g}), {last[-1].right} of "
        f"{last[-1].asked} certain symbols predicted (wanted: all)"
    )
    print(f"time: {run.seconds:.1f} s for {run.seen} sequences")
    if language.listed:
        alone, together = reach(run.net, language.name)
        print(
            f"reach: trained on n = 1 .. {language.length}, exact up to n = {alone} for a word "
            f"alone and up to n = {together} for words after each other"
        )
    elif run.task["embed"]:
        share = remembered(run.net, language)
        print(f"memory: the last symbol but one is predicted in {share:.2%} of 10000 fresh words")


# The script


@dataclass
class Run:
    """A network in training, and what it was trained with and on so far.

    task: what add_task_flags asks for; recipe: the training flags; epoch: thousands of sequences
    in all; seen: sequences seen; reports: (seen, Score) each; seconds: spent training.
    """

    task: dict
    recipe: dict
    seed: int
    epoch: int
    language: Language
    net: torch.nn.Module
    optimizer: torch.optim.Optimizer
    seen: int = 0
    reports: list[tuple[int, Score]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def title(self) -> str:
        return f"{self.task['model'].upper()} with {self.net.hid} hidden units"

    @property
    def stem(self) -> str:
        return stem(self.task, self.language)

    def path(self, folder: Path) -> Path:
        """net/anb2n_srn2_100.pth: the run's checkpoint, by thousands of sequences seen."""
        return folder / f"{self.stem}_{self.seen // BLOCK}.pth"

    @property
    def plot_command(self) -> str:
        """What shows the run's last checkpoint."""
        import anb2n

        words = [f"python3 seq_plot.py --lang {self.task['lang']}"]
        words += ["--embed"] if self.task["embed"] else []
        if self.task["length"] != (anb2n.LENGTH if self.language.listed else 0):
            words.append(f"--length {self.task['length']}")
        words.append(f"--model {self.task['model']} --hid {self.net.hid}")
        return " ".join([*words, f"--epoch {self.seen // BLOCK}"])

    def save(self, folder: Path) -> Path:
        """Write all that `resume` and seq_plot.py need into `folder`; returns the path."""
        import checkpoint

        path = self.path(folder)
        content = {
            "task": self.task,
            "recipe": vars(self.recipe),
            "seed": self.seed,
            "epoch": self.epoch,
            "seen": self.seen,
            "reports": [(seen, *astuple(score)) for seen, score in self.reports],
            "seconds": self.seconds,
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        checkpoint.write(path, content)
        return path


def begin(args: argparse.Namespace) -> Run:
    """A new Run, as the flags describe it."""
    task, language, epoch = describe(args)
    given = {name: value for name, value in vars(args).items() if value is not None}
    defaults = RECIPES[args.recipe][task["model"]]
    if args.recipe == "best":
        defaults = defaults | INSTEAD.get((language.name, task["model"]), {})
    recipe = SimpleNamespace(**{name: given.get(name, defaults[name]) for name in defaults})
    seed = script.seed_everything(args.seed)
    net = build(task, language, recipe).to(args.device)
    epoch = args.epoch or epoch
    return Run(task, recipe, seed, epoch, language, net, optimiser(recipe, net))


def resume(args: argparse.Namespace) -> Run:
    """The Run that --resume goes on with; Fault if the file or the flags do not allow it."""
    import checkpoint
    from prediction import Score
    from seq_models import PARAMETERS

    content = checkpoint.read(args.resume, "--resume")
    bare = set(content) in PARAMETERS
    if not bare:
        for name in ("seed", *TASK, *RECIPES["best"]["srn"]):
            if getattr(args, name, None) is not None:
                raise Fault(f"--resume takes --{name} from the file: leave it out", status=2)
    try:
        task, language, recipe, net = restore(content, args)
        if bare:
            # The course's own files hold weights and nothing else: a new run starts from them.
            run = begin(args)
            run.net.load_state_dict(net.state_dict())
            return run
        net.to(args.device)
        optimizer = optimiser(recipe, net)
        checkpoint.load_moments(optimizer, content["optimizer"])
        reports = [(int(seen), Score(*map(float, score))) for seen, *score in content["reports"]]
        if not all(
            0 <= score.right <= score.asked < math.inf
            and score.asked
            and 0 <= score.loss < math.inf
            for _, score in reports
        ):
            raise ValueError("a report that was never made")
        known = flags()
        seed, epoch = known.value("seed", content["seed"]), known.value("epoch", content["epoch"])
        seen, seconds = int(content["seen"]), float(content["seconds"])
        if not (0 <= seen <= epoch * BLOCK and 0 <= seconds < math.inf):
            raise ValueError(f"{seen} sequences in {seconds} seconds")
        epoch = args.epoch or epoch
    except checkpoint.UNFIT as error:
        what = (
            f"weights of another network: {error}"
            if bare
            else "not a whole checkpoint of this script"
        )
        raise Fault(f"--resume {args.resume}: {what}") from error
    script.seed_everything(seed)
    if seen >= epoch * BLOCK:
        raise Fault(
            f"--resume {args.resume}: the run has seen all of its {seen} sequences; "
            f"a higher --epoch than {epoch} makes it longer"
        )
    return Run(task, recipe, seed, epoch, language, net, optimizer, seen, reports, seconds)


def go(run: Run, args: argparse.Namespace, stop: Stop) -> Path:
    """Train to the run's end or until `stop`; report every 1,000 sequences, keep every 10,000.

    Returns the last checkpoint.
    """
    from prediction import evaluation_set, score

    judged, kept = evaluation_set(run.language), args.resume
    blocks = range(run.seen // BLOCK, run.epoch)
    progress = Progress(len(blocks))

    def look() -> None:
        now = score(run.net, run.language, judged)
        progress.clear()
        if not math.isfinite(now.loss):
            raise Fault(
                f"the loss is {now.loss} after {run.seen} sequences: lower --lr "
                f"{run.recipe.lr:g}; the last checkpoint is {kept}"
            )
        # A run that is taken up again must not find a report that an unbroken run has not.
        if run.seen % BLOCK == 0:
            run.reports.append((run.seen, now))
        report(run, sample(run, args.verbose), now)

    if not run.reports:
        look()
        kept = run.save(args.out_path)
    for block in blocks:
        start = time.perf_counter()
        train(run, draw(run.language, run.seed, block).to(args.device), stop)
        run.seconds += time.perf_counter() - start
        look()
        if stop or block + 1 == run.epoch or (block + 1) % KEPT == 0:
            kept = run.save(args.out_path)
        if stop:
            break
        progress.update(block + 1 - blocks.start, run.title)
    return kept


def main(argv: list[str] | None = None) -> int:
    args = flags().parse_args(argv)
    # What can be refused is refused before torch is imported and minutes are spent.
    script.require_writable(args.plot)
    script.require_writable(args.out_path)
    if args.resume:
        script.require_file(args.resume, "--resume")

    import torch

    print_numbers_as_the_course()
    args.device = script.choose_device(args.device)
    # More threads than one only wait for each other on matrices as small as these.
    torch.set_num_threads(1)
    run = resume(args) if args.resume else begin(args)
    print(f"{run.title} learns {run.language.name}")
    print(f"recipe: {script.as_flags(vars(run.recipe))} --epoch {run.epoch}")
    with Stop() as stop:
        kept = go(run, args, stop)
        conclude(run)
        if len(run.reports) > 1:
            script.save_picture(curve_picture(run), args.plot / f"{run.stem}_loss.jpg")
    print(f"checkpoint: {kept}\nto plot it: {run.plot_command}")
    if stop:
        if run.seen < run.epoch * BLOCK:
            print(f"to go on: python3 seq_train.py --resume {kept}")
        return stop.status
    return 0 if succeeded([score for _, score in run.reports], run.language.bar) else FAILED


if __name__ == "__main__":
    script.run(main)
