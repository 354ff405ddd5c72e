"""The words of docs/report.md around what the runs of make_report.py printed and drew.

Each section takes its figures from the runs; where a run failed, the section says so instead.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np

from kuzushiji import confusion, features
from recurrent.explain import listed, plural

# A picture in the report is no larger, so that the repository stays small.
LARGEST = 190_000
NETS = {"lin": "NetLin", "full": "NetFull", "conv": "NetConv"}
# What the assignment states of each: accuracy on KMNIST's 10,000 test images, parameters, the
# confusions that it names, each of 1,000 images of the target.
BRIEF = {
    "lin": (6971, 7850, {("ma", "su"): 142, ("ha", "su"): 125, ("ki", "su"): 106}),
    "full": (8400, 79510, {("ha", "su"): 81, ("ki", "ma"): 60, ("ma", "su"): 58}),
    "conv": (9301, 138250, {("su", "tsu"): 52, ("ki", "ma"): 38, ("ha", "su"): 35}),
}

MAPS = "The map of each symbol, and the words n = 1 .. 4"
# The sentence of seq_plot.py that says how far a network counts.
REACH = r"^(It breaks at .*|Every word up to .*|Not even .*)$"


class Missing(Exception):
    """A run that a section needs has failed."""


class Findings:
    """The runs by name, and what was read off them.

    image: copies a picture of a run into the report's folder and returns its Markdown.
    """

    def __init__(self, runs: dict, images, epochs: int, folder: Path):
        self.runs, self.images, self.epochs, self.folder = runs, images, epochs, folder

    def run(self, name: str, place: int = 0):
        """The run of that name, or Missing."""
        run = self.runs[name][place]
        if not run.good:
            last = (run.told.strip() or "it was not reached").splitlines()[-1]
            raise Missing(f"`{run.command}`: {last}")
        return run

    def seeds(self, name: str) -> list[str]:
        return [other for other in self.runs if re.fullmatch(rf"{name}_\d+", other)]

    def image(self, name: str, picture: str, caption: str) -> str:
        path = self.run(name).folder / "plot" / picture
        if not path.exists():
            raise Missing(f"{picture} was not drawn by `{self.runs[name][-1].command}`")
        copy = self.folder / f"{name}_{picture}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        _shrink(copy)
        return f"![{caption}](img/{copy.name})"

    def figure(self, name: str, picture: str, caption: str) -> str:
        return f"{self.image(name, picture, caption)}\n\n*{caption}*\n"


def _shrink(path: Path) -> None:
    """Save a picture with less detail until it is small enough."""
    from PIL import Image

    quality = 85
    while path.stat().st_size > LARGEST and quality > 30:
        with Image.open(path) as picture:
            picture.load()
        picture.save(path, quality=quality)
        quality -= 10


def find(pattern: str, text: str, what: str) -> re.Match:
    """The last match of a pattern in what a run printed; Missing if there is none."""
    found = list(re.finditer(pattern, text, flags=re.MULTILINE))
    if not found:
        raise Missing(f"nothing was printed about {what}")
    return found[-1]


def part(text: str, start: str, end: str) -> str:
    """The lines of a text after the last one that begins with `start`, up to one with `end`."""
    lines = text.splitlines()
    begins = [place for place, line in enumerate(lines) if line.startswith(start)]
    if not begins:
        raise Missing(f"nothing was printed under {start!r}")
    rest = lines[begins[-1] + 1 :]
    ends = [place for place, line in enumerate(rest) if line.startswith(end)]
    return "\n".join(rest[: ends[0]] if ends else rest)


def code(text: str) -> str:
    return f"```\n{text.rstrip()}\n```\n"


def matrices(printed: str) -> list[np.ndarray]:
    """The confusion matrices that were printed, each (10, 10)."""
    blocks = re.findall(r"<class 'numpy.ndarray'>\n(\[\[.*?\]\])\n", printed, flags=re.DOTALL)
    rows = [re.findall(r"[\d.]+", block) for block in blocks]
    return [np.array(row, float).reshape(10, 10) for row in rows]


# Part 1


def share(matrix: np.ndarray) -> str:
    return f"{matrix.trace() / matrix.sum():.2%}"


def one_network(found: Findings, name: str) -> str:
    """What the brief wants copied into the report: accuracy, matrix, parameters."""
    run = found.run(f"kuzu_{name}")
    formula = find(rf"^{NETS[name]}: (.*)$", run.printed, "parameters")[1]
    block = "<class 'numpy.ndarray'>\n" + part(run.printed, "<class", "Accuracy of each")
    return (
        f"### {NETS[name]}\n\n`{run.command}`\n\n{code(block)}\n"
        f"Parameters: `{formula}`. Most frequent confusions:\n\n"
        f"{code(part(run.printed, 'Most frequent', 'Why'))}\n"
        + found.figure(f"kuzu_{name}", f"kuzu_{name}_confusion.jpg", f"Confusions of {NETS[name]}")
    )


def hidden_nodes(found: Findings) -> str:
    run = found.run("kuzu_sweep")
    table = part(run.printed, "NetFull on", "picture")
    return (
        f"### How many hidden nodes\n\n`{run.command}`, a quarter of the passes:\n\n{code(table)}\n"
        + found.figure("kuzu_sweep", "kuzu_sweep.jpg", "Accuracy against hidden nodes of NetFull")
    )


def accuracies(found: Findings) -> str:
    """The table of the three models, with the brief's own recipe on the same images."""
    rows = ["| model | brief, on KMNIST | brief's recipe here | our recipe here | parameters |"]
    rows += ["| --- | ---: | ---: | ---: | ---: |"]
    brief = matrices(found.run("kuzu_brief").printed)
    # One matrix for each network: --compare prints no others.
    for (name, title), here in zip(NETS.items(), brief, strict=True):
        ours = matrices(found.run(f"kuzu_{name}").printed)[-1]
        count = find(rf"^{title}: .* = (\d+) ", found.run(f"kuzu_{name}").printed, "parameters")[1]
        rows.append(
            f"| {title} | {BRIEF[name][0] / 100:.2f}% | {share(here)} | {share(ours)} | {count} |"
        )
    return "\n".join(rows)


def discussion(found: Findings) -> str:
    images, printed = found.images, {n: found.run(f"kuzu_{n}").printed for n in NETS}
    results = {NETS[name]: matrices(text)[-1] for name, text in printed.items()}
    lin, conv = results["NetLin"], results["NetConv"]
    wrong = {n: (m.sum() - m.trace()) / m.sum() for n, m in results.items()}
    counts = {
        NETS[name]: int(find(rf"^{NETS[name]}: .* = (\d+) ", text, "parameters")[1])
        for name, text in printed.items()
    }
    alike = features.mean_image_correlation(images)
    hardest = confusion.worst_confusions(conv, 3)
    left = listed(
        [
            f"{images.classes[c.target]} as {images.classes[c.chosen]} ({c.count} of {c.total})"
            for c in hardest
        ]
    )
    factor = wrong["NetLin"] / max(wrong["NetConv"], 1e-9)
    return f"""### Discussion

**Relative accuracy.**

{accuracies(found)}

NetLin mistakes {wrong["NetLin"]:.1%} of the test images, NetFull {wrong["NetFull"]:.1%}, NetConv
{wrong["NetConv"]:.1%}, one for every {factor:.0f} of NetLin's. Each step adds what the one before
it cannot do. NetLin adds up votes of single pixels, so a character must have its ink where most
others of its kind have it. NetFull can combine pixels into parts before it votes. NetConv looks
for the same small parts everywhere, and pooling lets them be a pixel or two away.

**Parameters.** {counts["NetLin"]} for NetLin, {counts["NetFull"]} for NetFull and
{counts["NetConv"]} for NetConv. More of them is not what makes the difference: in the brief's own
networks NetConv has 1.7 times the parameters of NetFull, and of these its first layer has only
1 * 64 * 25 + 64 = 1,664, used at 784 places each (the second 73,856, the output 62,730). Shared
weights are learned from every place at once, which is why few are enough.

**Which characters are mistaken for which, and why.**

{code(confusion.comparison(results, images))}
{found.figure("kuzu_lin", "kuzu_lin_features.jpg", "NetLin: mean images above, templates below")}
*Templates.* A linear network has one template for each character. Two characters whose mean images
have their ink on the same pixels get templates that differ in few places.
{_overlap(found, lin, alike)}
What the program measured on the training images, and what chance gives:

{_why(printed["lin"])}

{found.figure("kuzu_lin", "kuzu_lin_mistakes.jpg", "What NetLin mistakes for what, worst first")}
*Hidden units.* A character is a pattern of answers of hidden units, which can hold for one way of
writing or another. But a unit is tied to its place: what is written lower or wider meets other
units.

{_why(printed["full"])}

{found.figure("kuzu_full", "kuzu_full_features.jpg", "The strongest hidden units of NetFull")}
*Filters.* The maps below each filter show one image taken apart by it.

{_why(printed["conv"])}

{found.figure("kuzu_conv", "kuzu_conv_features.jpg", "First filters of NetConv, and their answers")}
*What remains.* NetConv still takes {left}. Of these, the images below are the ones it was surest
about.

{found.figure("kuzu_conv", "kuzu_conv_mistakes.jpg", "What NetConv mistakes for what, worst first")}
"""


def _why(printed: str) -> str:
    """What a run printed of the reasons for its confusions."""
    text = find(r"^Why, measured on the training images:\n((?:.*\n)*?)Net", printed, "the reasons")
    return code(text[1])


def _overlap(found: Findings, matrix: np.ndarray, alike: np.ndarray) -> str:
    """Which of the pairs that NetLin confuses most have mean images that are alike, in words."""
    names, order = found.images.classes, [(i, j) for i in range(10) for j in range(i)]
    order.sort(key=lambda pair: -alike[pair])
    places = {pair: place for place, pair in enumerate(order, start=1)}
    worst = sorted(order, key=lambda pair: -(matrix[pair] + matrix[pair[::-1]]))[:6]

    def told(pair: tuple[int, int]) -> str:
        both = " and ".join(names[index] for index in sorted(pair))
        return f"{both} ({alike[pair]:.2f}, number {places[pair]})"

    near = [told(pair) for pair in worst if places[pair] <= len(order) / 3]
    far = [told(pair) for pair in worst if places[pair] > len(order) / 3]
    text = f"Of the six pairs that NetLin confuses most, {len(near)} are among the third that is"
    text += f" most alike: {listed(near)}." if near else " most alike."
    if far:
        text += (
            f" Overlap does not explain {listed(far)}: there it is particular ways of writing, as"
        )
        text += " the images below show."
    if "ma" in names and not any("su and ma" in pair for pair in near + far):
        ma, su = names.index("ma"), names.index("su")
        text += f" The brief's worst pair is {told((ma, su))}."
    return text


def part1(found: Findings) -> list[Callable[[], str]]:
    return [
        *(lambda name=name: one_network(found, name) for name in ("lin", "full")),
        lambda: hidden_nodes(found),
        lambda: one_network(found, "conv"),
        lambda: discussion(found),
    ]


# Part 2


def trained(found: Findings) -> str:
    run = found.run("check_train")
    ends = find(r"^ep: (\d+) loss: (\S+) acc: (\S+)", run.printed, "training")
    bench = found.run("check_bench").printed
    row = find(r"^ +5 +(.*)$", bench, "the benchmark")
    return f"""### Trained, with sigmoid units

`{run.command}`

After {ends[1]} epochs the loss is {ends[2]} and {ends[3]}% of the nine points are right:

{shown(part(run.printed, "Final Weights", "picture"))}
{units(found, "check_train", 5)}

Each hidden unit divides the plane by a line, and the output adds up on which sides of the lines a
point lies. How often training succeeds, and in how many seconds
(`{found.run("check_bench").command}`; the course's own training beside ours):

{code(bench.splitlines()[1] + chr(10) + row[0])}"""


def shown(text: str) -> str:
    """What check_main.py printed, its table of activations as a table of the report."""
    before, _, after = text.partition("Activations:\n")
    return f"{code(before)}\n{after}\n" if after else code(before)


def units(found: Findings, name: str, hid: int) -> str:
    """The pictures of all hidden units and of the output, three in a row."""
    names = [f"H{node + 1}" for node in range(hid)] + ["output"]
    files = [f"hid_{hid}_{node}.jpg" for node in range(hid)] + [f"out_{hid}.jpg"]
    cells = [found.image(name, file, unit) for file, unit in zip(files, names, strict=True)]
    rows = []
    for start in range(0, len(cells), 3):
        rows.append(f"| {' | '.join(names[start : start + 3])} |")
        rows += ["| --- | --- | --- |"] if not start else []
        rows.append(f"| {' | '.join(cells[start : start + 3])} |")
    return "\n".join(rows)


def by_hand(found: Findings) -> str:
    run, design = found.run("check_step"), found.run("check_design")
    return f"""### Designed by hand, with step units

`{run.command}`

The targets are 1 exactly where x1 and x2 differ by one. So two lines separate the points with
x1 = x2 from the rest, and two more cut off those where they differ by two; the output counts the
first two for, the other two against.

{shown(_until_pictures(run))}
{found.figure("check_step", "net_4.jpg", "The network with all its weights and biases")}
Can fewer units do it? `{design.command}` tries all sets of lines:

{code(design.printed.split("Dividing lines")[0])}"""


def _until_pictures(run) -> str:
    return run.printed.split("\npicture:")[0]


def rescaled(found: Findings) -> str:
    run = found.run("check_sig")
    least = find(r"^smallest scale at which .*: ([\d.]+)", run.printed, "the smallest scale")[1]
    return f"""### The same weights, rescaled for sigmoid units

`{run.command}`

All weights and biases times 10. Any scale from {least} on is enough. With a scale f, a point at
which a step unit's net input is 0.5 (the smallest here) gives a sigmoid unit 1 / (1 + exp(-f / 2)):
0.993 for f = 10. The sum of four such units is then within 0.03 of the sum of the steps, so that
the output's net input stays on its side of 0.

{shown(_until_pictures(run).split("Dividing lines")[0])}
{part(run.printed, "Activations", "picture")}

{units(found, "check_sig", 4)}
"""


def part2(found: Findings) -> list[Callable[[], str]]:
    return [lambda make=make: make(found) for make in (trained, by_hand, rescaled)]


# Part 3


def success(found: Findings, name: str) -> str:
    """A sentence on all seeds: how many succeeded, with which losses, and how many machines are
    the language's own."""
    names = found.seeds(name)
    verdicts, losses, seconds, same = 0, [], [], 0
    for each in names:
        run = found.run(each)
        verdicts += "training succeeded" in run.printed
        losses.append(float(find(r"loss at most ([\d.]+)", run.printed, "the loss")[1]))
        seconds.append(float(find(r"^time: ([\d.]+) s", run.printed, "the time")[1]))
        same += "(isomorphic)" in found.run(each, 1).printed
    return (
        f"Of {plural(len(names), 'seed')}, {verdicts} succeeded at once; the highest loss of the "
        f"last ten reports is {max(losses):.4f} in the worst run, {min(losses):.4f} in the best; a "
        f"run takes {min(seconds):.0f} to {max(seconds):.0f} s beside another one. In {same} of "
        f"{len(names)} the machine in the checkpoint plotted is the smallest one of the language."
    )


def steps(printed: str) -> list[tuple[str, list[str], np.ndarray]]:
    """The first sequence that seq_plot.py printed: symbol, hidden units, probabilities."""
    text = printed.split("symbol= ")[1].split("\n-----")[0]
    rows = re.findall(r"^([A-Z]) \[(.*?)\] \[(.*?)\]$", text, flags=re.MULTILINE)
    return [(s, h.split(), np.array(p.split(), float)) for s, h, p in rows]


def section(run, title: str) -> str:
    """What seq_plot.py printed under --- title ---."""
    return part(run.printed, f"--- {title} ---", "--- ")


def drop_pictures(text: str) -> str:
    return "\n".join(
        line for line in text.splitlines() if not line.startswith(("picture:", "for Graphviz"))
    ).strip()


def srn(found: Findings) -> str:
    train, plot = found.run("anb2n_0"), found.run("anb2n_0", 1)
    return f"""### An SRN learns a^n b^2n

`{train.command}`, then `{plot.command}`

{code(part(train.printed, "-----", "picture"))}
{success(found, "anb2n")}

{found.figure("anb2n_0", "anb2n_srn2_01.jpg", "Hidden unit activations, coloured by state number")}
The same points, grouped into states by the program. It knows nothing of the language's counters:
it takes the coarsest clustering in which every symbol leads from one group to one group and the
predictions agree.

{found.figure("anb2n_0", "anb2n_srn2_states.jpg", "The annotated image: states and arrows")}"""


def finite_machine(found: Findings) -> str:
    plot = found.run("anb2n_0", 1)
    return f"""### The finite state machine

{found.figure("anb2n_0", "anb2n_srn2_fsm.jpg", "The machine in the SRN, minimised")}
{code(drop_pictures(section(plot, "States and machine")))}
A state is named after what it must still see: after A3 three A's have been read, B5 is where five
B's are still to come, and `start` is where a word ends and the next begins. The arrows of B from
A1, A2, A3 and A4 enter one chain of B's at the places 1, 3, 5 and 7: this is where one A becomes
two B's.
"""


def how_srn(found: Findings) -> str:
    plot = found.run("anb2n_0", 1)
    dynamics, units = section(plot, "Dynamics"), section(plot, "Units over time")
    rows = steps(plot.printed)
    leans: dict[int, list[float]] = {}
    run = 0
    for symbol, _, probability in rows:
        run = run + 1 if symbol == "A" else 0
        if run:
            leans.setdefault(run, []).append(float(probability[1]))
    after = listed([f"{np.mean(values):.2f}" for _, values in sorted(leans.items())])
    certain = [p[0] for (s, _, p), (t, _, _) in pairwise(rows) if t == "A" != s]
    role = find(r"^(The A's are counted by .*|No single unit counts the A's.*)$", units, "roles")[0]
    return f"""### How it does a^n b^2n

*While A's come*, the network cannot know how many will. It leans more and more to B: after one,
two, ... A's it gives B a probability of {after}. {role}

*The first B* is the one it could not foresee. It carries the state far away, to a place that
depends on how many A's there were:

{code(part(dynamics, "How it counts", "In step"))}
*Every further B* is a step of the same map, and two such steps undo what one A has done:

> {find(r"^In step: (.*)$", dynamics, "being in step")[1]}

{_creeping(dynamics)}
*The last B* brings every word to the same region, on the other side of the output's decision line:
there A has a probability of at least {min(certain, default=float("nan")):.2f} in the first sequence
printed. That is how the last B and the A after it are predicted: by where the state is, with no
other memory.

{found.figure("anb2n_0", "anb2n_srn2_dynamics.jpg", MAPS)}
> {find(r"^Rodriguez.*$", dynamics, "the rates")[0]}

Proof that the units do this: one is disturbed, and the predictions are counted that are still
right.

{code(part(units, "Proof", "picture"))}
How far it goes: {find(REACH, dynamics, "reach")[0]}
"""


def _creeping(dynamics: str) -> str:
    """What it means when the steps of the B's are smallest in the middle."""
    steps = find(r"^  B's: .*$", dynamics, "the steps of the B's")[0]
    if "slow in the middle" not in steps:
        return ""
    return """The steps are smallest in the middle: the state creeps through a narrow place of the
map of B, and how far back in it the first B has put the state decides how many more it takes to
come out. So the network counts down by the time that this takes.
"""


def lstm(found: Findings) -> str:
    train, plot = found.run("anb2nc3n_0"), found.run("anb2nc3n_0", 1)
    pairs = ("01", "02", "12")
    cells = [found.image("anb2nc3n_0", f"anb2nc3n_lstm3_{p}.jpg", f"units {p}") for p in pairs]
    return f"""### An LSTM learns a^n b^2n c^3n

`{train.command}`, then `{plot.command}`

{code(part(train.printed, "epoch:", "picture"))}
{success(found, "anb2nc3n")}

| hidden units 0 and 1 | 0 and 2 | 1 and 2 |
| --- | --- | --- |
| {" | ".join(cells)} |

{found.figure("anb2nc3n_0", "anb2nc3n_lstm3_3d.jpg", "All three hidden units")}"""


def how_lstm(found: Findings) -> str:
    plot = found.run("anb2nc3n_0", 1)
    machine, units = section(plot, "States and machine"), section(plot, "Units over time")
    dynamics = section(plot, "Dynamics")
    pairs = ("01", "02", "12")
    cells = [
        found.image("anb2nc3n_0", f"anb2nc3n_lstm3_context_{p}.jpg", f"context units {p}")
        for p in pairs
    ]
    table = part(units, "unit ", "The A's") if "The A's" in units else part(units, "unit ", "No")
    head = find(r"^unit .*$", units, "the units")[0]
    roles = find(r"^(The A's are|No single unit counts the A's).*$", units, "roles")[0]
    worst = find(r"^(Worst is .*)$", units, "ablations")[0]
    return f"""### The dynamics of its hidden and context units

The hidden units are what the output reads; the count itself is in the context units (the cell),
which the network adds to and takes from with every symbol. The states below were found in both
together:

{code(drop_pictures(machine).splitlines()[0] + chr(10) + _last_lines(machine))}
{found.figure("anb2nc3n_0", "anb2nc3n_lstm3_states.jpg", "States of the LSTM")}
{found.figure("anb2nc3n_0", "anb2nc3n_lstm3_fsm.jpg", "The machine in the LSTM")}
The machine shows what must be remembered: while B's are read, how many B's *and* how many C's are
still to come. Every n has a chain of B's of its own, and they may only run together in the C's,
where nothing but the C's left matters.

{found.figure("anb2nc3n_0", "anb2nc3n_lstm3_time.jpg", "Units and gates over time")}
{code(head + chr(10) + table)}
{roles}

So counting is adding: while a gate is open by the same amount, a context unit moves by the same
step with each symbol, and the count is its distance from where it must arrive. The forget gate
near 1 keeps what was counted; where it closes, a unit is set back for the next run.

| context units 0 and 1 | 0 and 2 | 1 and 2 |
| --- | --- | --- |
| {" | ".join(cells)} |

Proof: a context unit is set to 0 where a new run begins, or held still through the run.

{code(part(units, "Proof", "Worst"))}
{worst}

{found.figure("anb2nc3n_0", "anb2nc3n_lstm3_dynamics.jpg", MAPS)}
> {find(r"^In step: (.*)$", dynamics, "being in step")[1]}

How far it goes: {find(REACH, dynamics, "reach")[0]}
"""


def _last_lines(machine: str) -> str:
    """The lines of proof under a machine's table."""
    lines = drop_pictures(machine).splitlines()
    start = next(i for i, line in enumerate(lines) if " agree: " in line)
    return "\n".join(lines[1:2] + lines[start:])


def part3(found: Findings) -> list[Callable[[], str]]:
    makers = (srn, finite_machine, how_srn, lstm, how_lstm)
    return [lambda make=make: make(found) for make in makers]


# The whole


def figures(found: Findings) -> str:
    """A table: each number that the brief states, and ours."""
    images, rows = found.images, []
    brief = matrices(found.run("kuzu_brief").printed)
    for (name, title), here in zip(NETS.items(), brief, strict=True):
        right, parameters, confusions = BRIEF[name]
        run = found.run(f"kuzu_{name}")
        ours = matrices(run.printed)[-1]
        count = find(rf"^{title}: .* = (\d+) ", run.printed, "parameters")[1]
        same = find(rf"^{title}: .* = (\d+) ", found.run("kuzu_brief").printed, "parameters")[1]
        rows += [
            (f"{title}: accuracy", f"{right / 100:.2f}%",
             f"{share(ours)}; the brief's recipe {share(here)}"),
            (f"{title}: parameters", str(parameters), f"{count}; the brief's network {same}"),
        ]  # fmt: skip
        for (target, chosen), times in confusions.items():
            if target not in images.classes:
                continue
            at = images.classes.index(target), images.classes.index(chosen)
            counts = [f"{matrix[at] / matrix[at[0]].sum():.1%}" for matrix in (ours, here)]
            rows.append(
                (f"{title}: {target} taken for {chosen}", f"{times / 1000:.1%}",
                 f"{counts[0]}; the brief's recipe {counts[1]}")
            )  # fmt: skip
    train, step = found.run("check_train").printed, found.run("check_step").printed
    rows += [
        ("5 sigmoid units, accuracy", "100%",
         find(r"^Final Accuracy: +(\S+)", train, "accuracy")[1] + "%"),
        ("4 step units by hand, accuracy", "100.0",
         find(r"^Initial Accuracy: +(\S+)", step, "accuracy")[1]),
        ("the same times 10, sigmoid, accuracy", "100%",
         find(r"^Initial Accuracy: +(\S+)", found.run("check_sig").printed, "accuracy")[1]),
    ]  # fmt: skip
    for name, bar, example in (
        ("anb2n", "below 0.05", ""),
        ("anb2nc3n", "below 0.02", " (0.0158)"),
    ):
        losses = [
            float(find(r"loss at most ([\d.]+)", found.run(each).printed, "the loss")[1])
            for each in found.seeds(name)
        ]
        text = f"at most {max(losses):.4f} over {plural(len(losses), 'seed')}"
        rows.append((f"{name}: loss of the last reports", bar + example, text))
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(
        [
            "## The brief's figures and ours\n",
            "Part 1: the brief's on KMNIST's 10,000 test images, ours on "
            f"{images.name}.\n\n| what | brief | ours |\n| --- | ---: | ---: |",
            *lines,
            "",
        ]
    )


def warning(images, epochs: int) -> str:
    """Which images these are."""
    count, tested = len(images.train), len(images.test)
    text = f"Part 1 was run on **{images.name}** ({count} images to train, {tested} to test"
    text += f"; {epochs} passes over them)."
    if images.name != "KMNIST":
        text += (
            " These are not KMNIST's 60,000 and 10,000 images: no figure of ours here is an "
            "accuracy on KMNIST, and none can be compared with one."
        )
    return text


def made(make: Callable[[], str]) -> str:
    """A section, or that it is missing."""
    try:
        return make()
    except Missing as missing:
        return f"**This section is missing, since a run failed**: {missing}\n"


def report(runs: dict, images, epochs: int, folder: Path) -> str:
    """The report as Markdown; pictures go into `folder`."""
    found = Findings(runs, images, epochs, folder)
    blocks = [
        "# Kuzushiji characters, a perceptron on nine points, and networks that count\n",
        "Written by `python3 docs/make_report.py`: every figure and picture below comes from the "
        "commands that stand beside it.\n",
        warning(images, epochs) + "\n",
        made(lambda: figures(found)),
        f"## Part 1: Japanese character recognition ({images.name})\n",
        *map(made, part1(found)),
        "## Part 2: multi-layer perceptron\n",
        *map(made, part2(found)),
        "## Part 3: hidden unit dynamics for recurrent networks\n",
        *map(made, part3(found)),
        "Images of characters: KMNIST Dataset (created by CODH), adapted from Kuzushiji Dataset "
        "(created by NIJL and others), doi:10.20676/00000341, CC BY-SA 4.0.\n"
        if images.glyphs
        else "",
    ]
    return filled("\n".join(blocks))


def filled(text: str) -> str:
    """The report with its paragraphs in lines of up to 100 characters, and no empty lines twice."""
    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    blocks: list[str] = []
    for number, piece in enumerate(parts):
        if number % 2:
            blocks.append(piece)
            continue
        for block in re.split(r"\n\s*\n", piece.strip()):
            plain = not re.search(r"^[|!#>]", block, flags=re.MULTILINE)
            wrap = textwrap.fill(block, 100, break_long_words=False, break_on_hyphens=False)
            blocks.append(wrap if plain else block)
    return "\n\n".join(block for block in blocks if block) + "\n"
