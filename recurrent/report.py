"""Text of Part 3: sequences as the course prints them, tables, and the sentences of In short.

Each sentence is made from the results that --json writes and is left out where its condition does
not hold: a function of a dict, which returns the sentence or None.
"""

from __future__ import annotations

from cli.tables import count, table

from collections.abc import Iterable
from functools import partial

import numpy as np
import torch

from recurrent import dynamics, extraction, metrics
from recurrent.extraction import Extraction, States
from recurrent.language import Language
from recurrent.metrics import MAX_N_TESTED, MAX_N_TESTED_PAIRS

# Minimum R^2 of a straight line for a unit that counts.
COUNTS_R2 = 0.95
# Maximum relative difference of two totals of which one undoes the other.
HANDED_ON = 0.25
# Maximum distance of a fixed point to which a symbol leads, from the state after ten more of it.
REACHED = 0.05
# A slow point: maximum speed, maximum distance from the words, and maximum distance of its leading
# eigenvalue from 1.
SLOW_SPEED, SLOW_DISTANCE, SLOW_EIGENVALUE = 0.1, 0.1, 0.05
# Standard deviations within which a number of correct guesses is chance.
CHANCE = 3
# Maximum numbers of fixed points of a symbol, and of components of a vector, that are printed.
MAX_POINTS, MAX_COMPONENTS = 4, 6


# Sequences in the course's format

# numpy's print options of the course's scripts: two decimals, room for a sign. A context manager.
course_numbers = partial(
    np.printoptions, precision=2, suppress=True, sign=" ", floatmode="fixed", linewidth=200
)


@torch.no_grad()
def print_sequence(net, language: Language, text: str, context: bool = False) -> dict:
    """Print a network's activations on `text`, one line per symbol read; return them.

    A line has the hidden units, the context units if `context`, and the output probabilities. The
    last symbol is only predicted: in a counting language the first one of a further word.
    """
    text += language.symbols[language.first_symbol] if language.chained else ""
    states = net.states(torch.from_numpy(language.encode(text[:-1]))[:, None])[:, 0]
    values = {
        "symbols": text,
        "hidden": states[:, : net.hid].cpu().numpy(),
        "context": net.memory(states).cpu().numpy() if net.blocks > 1 else None,
        "probabilities": net.read_out(states).softmax(-1).cpu().numpy(),
    }
    context = context and net.blocks > 1
    names = ("hidden", "context", "probabilities") if context else ("hidden", "probabilities")
    print(f"-----\nsymbol= {text}")
    units = "hidden and context" if context else "hidden"
    print(f"{units} activations and output probabilities [{language.symbols}]:")
    for row in zip(text[:-1], *(values[name] for name in names), strict=True):
        print(*row)
    return values


# Tables


def point_table(records: list[dict]) -> str:
    """Return a table of the fixed points found, the nearest of each symbol."""
    shown, counts = [], {}
    for record in records:
        counts[record["symbol"]] = counts.get(record["symbol"], 0) + 1
        if counts[record["symbol"]] <= MAX_POINTS:
            values = [format_eigenvalue(value) for value in record["eigenvalues"]]
            row = {name: record[name] for name in ("symbol", "kind")}
            row |= {"point": format_vector(record["point"]), "eigenvalues": _limited(values)}
            shown.append(row | {name: record[name] for name in ("distance", "after_10")})
    return table(shown, {"distance": ".2f", "after_10": ".2f"})


def format_vector(values: Iterable[float]) -> str:
    """Return "(-0.23, 0.65)"."""
    return f"({_limited([f'{value:z.2f}' for value in values], ', ')})"


def _limited(parts: list[str], between: str = " ") -> str:
    return between.join(parts[:MAX_COMPONENTS] + ["..."] * (len(parts) > MAX_COMPONENTS))


def format_eigenvalue(value: complex) -> str:
    """Return "0.26" or "0.19+1.16i"."""
    real = f"{value.real:z.2f}"
    return real if abs(value.imag) < 0.005 else f"{real}{value.imag:+.2f}i"


# Measurements


def measure(net, language: Language, states: States, machine: Extraction) -> dict:
    """Return the measurements of a network from which In short is made."""
    fresh = metrics.fresh_words(language)
    results = {
        "unit_name": "hidden unit" if net.blocks == 1 else "context unit",
        "fresh_words": metrics.wrong_words(net, language, fresh),
        "state_vectors": len(states.vectors),
        "states": machine.machine.count,
        "minimal_states": machine.reference.count,
        "isomorphic": machine.isomorphic,
        "likeliest_mistake": metrics.likeliest_mistake(net, language, fresh),
        "boundary": dynamics.decision_boundary(net),
    } | extraction.agreement(net, language, machine.machine, fresh)
    if language.long_range:
        results["remembered"] = metrics.remembered(net, language, fresh)
    if language.times:
        largest = metrics.max_exact_n(net, language)
        results |= {
            "max_exact_n": largest,
            "failure": dynamics.first_failure(net, language, largest[1] + 1),
            "counters": dynamics.counters(net, language),
            "margins": dynamics.margin_records(net, language),
            "countdown": dynamics.countdown(net, language),
            "ablations": dynamics.ablations(net, language),
        }
    # An LSTM's points may be hundreds of units away from its words, and say nothing about them.
    if net.blocks == 1:
        points = dynamics.stationary_points(net, language, states)
        results["fixed_points"] = [point for point in points if point["kind"] != "slow point"]
        slow = [point for point in points if point["kind"] == "slow point"]
        slow = [point for point in slow if point["symbol"] == language.symbols[1]]
        if slow and language.times:
            passage = dynamics.passage(net, language, slow[0]["point"], 1)
            results["slow_point"] = slow[0] | passage
    return results


# In short


def words_sentence(facts: dict, language: Language) -> str:
    """Return whether the network is right on fresh words, or the shortest that it gets wrong."""
    found = facts["fresh_words"]
    total = f"{found['words']:,}"
    if not found["wrong"]:
        which = f" (n = 1 to {language.max_n}, in random order)" if language.times else ""
        return f"Every symbol that is certain is predicted right in {total} fresh words{which}."
    return (
        f"It has not learned the language: wrong on {found['wrong']:,} of {total} words; the "
        f"shortest is {found['shortest']}: after {found['read']} it predicts {found['predicted']}, "
        f"not {found['expected']}."
    )


def remembered_sentence(facts: dict, language: Language) -> str | None:
    """Return whether a network remembers the second symbol of a word of the embedded grammar."""
    if not language.long_range:
        return None
    correct, total = facts["remembered"]["correct"], facts["remembered"]["total"]
    if correct == total:
        return f"It remembers the second symbol of a word: yes, in all {total:,} fresh words."
    if abs(correct - total / 2) < CHANCE * (total / 4) ** 0.5:
        return (
            f"It remembers the second symbol of a word: no, the repeated symbol is right in "
            f"{correct:,} of {total:,} fresh words, where guessing gives about {total // 2:,}."
        )
    return f"It remembers the second symbol for {correct:,} of {total:,} fresh words."


def machine_sentence(facts: dict, language: Language) -> str:
    """Return how many states the state vectors form, and whether that is the language's machine."""
    agree = f"{facts['agreement']:,} of {facts['agreement_of']:,} words"
    head = f"On the words its state vectors form {count(facts['states'], 'state')}"
    if facts["isomorphic"]:
        return f"{head}: the language's minimal machine (it predicts as the network on {agree})."
    return (
        f"{head}, where the language's minimal machine has {facts['minimal_states']}: the two "
        f"machines differ (the network's own predicts as the network on {agree})."
    )


def generalisation_sentence(facts: dict, language: Language) -> str | None:
    """Return up to which n the network is right, and how it fails at the next one."""
    if not facts.get("max_exact_n") or facts["fresh_words"]["wrong"]:
        return None
    single, pairs = facts["max_exact_n"]
    limit = "at least " if pairs == MAX_N_TESTED_PAIRS else ""
    text = (
        f"Trained on n <= {language.max_n}, it is right up to {limit}n = {pairs} after other words"
    )
    if single > pairs:
        most = "at least " if single == MAX_N_TESTED else ""
        text += f", up to {most}n = {single} for a single word"
    failure = facts.get("failure")
    if not failure:
        return f"{text}."
    ends, correct = failure["ends"], failure["correct"]
    run, where = (
        failure["run"],
        f"in the word n = {failure['n']} after the word n = {failure['before']}",
    )
    if not ends:
        return f"{text}; {where} it does not end the {run}'s."
    way = f"{abs(ends - correct)} too {'early' if ends < correct else 'late'}"
    return f"{text}; {where} it ends the {run}'s {way}, after {ends} instead of {correct}."


def counter_sentence(facts: dict, language: Language) -> str | None:
    """Return which unit counts which symbol, the best one of each kind and run."""
    parts = []
    for symbol in language.symbols:
        rows = [row for row in facts.get("counters", ()) if row["run"] == symbol]
        for key, what in (("read", "read"), ("left", "left")):
            good = [row for row in rows if (row[f"{key}_r2"] or 0) >= COUNTS_R2]
            if good:
                best = max(good, key=lambda row: row[f"{key}_r2"])
                parts.append(
                    f"{facts['unit_name']} {best['unit']} counts the {symbol}'s {what} "
                    f"({best[key]:+.2f} at each, a straight line of R² {best[f'{key}_r2']:.3f})"
                )
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if parts else None


def handed_on_sentence(facts: dict, language: Language) -> str | None:
    """Return how a count is handed on from one run to the next: by a unit that counts the symbols
    read in one and left in the next, in steps whose totals undo each other."""
    rows = {(row["run"], row["unit"]): row for row in facts.get("counters", ())}
    parts = []
    for run in range(1, language.classes):
        (first, second), (a, b) = (x[run - 1 : run + 1] for x in (language.symbols, language.times))
        found = []
        for unit in {unit for _, unit in rows if {(first, unit), (second, unit)} <= set(rows)}:
            before, after = rows[first, unit], rows[second, unit]
            r2 = min(before["read_r2"], after["left_r2"])
            up, down = a * before["read"], b * after["left"]
            undone = up * down < 0 and abs(up + down) <= HANDED_ON * max(abs(up), abs(down))
            if r2 >= COUNTS_R2 and undone:
                found.append((r2, unit, up, down, before["read"], after["left"]))
        if found:
            _, unit, up, down, one, other = max(found)
            parts.append(
                f"{_times(a)} {first}'s move {facts['unit_name']} {unit} by {_product(a, one)} n"
                f"{f' = {up:+.2f} n' * (a > 1)}, {_times(b)} {second}'s bring it back by "
                f"{_product(b, other)} n{f' = {down:+.2f} n' * (b > 1)}"
            )
    return f"A count is handed on: {'; '.join(parts)}." if parts else None


def _times(factor: int) -> str:
    return "n" if factor == 1 else f"{factor}n"


def _product(factor: int, step: float) -> str:
    return f"{step:+.2f}" if factor == 1 else f"{factor} x {step:+.2f}"


def countdown_sentence(facts: dict, language: Language) -> str | None:
    """Return from how many symbols left on all words have the same margins."""
    parts = []
    for row in facts.get("countdown", ()):
        if row["up_to"]:
            few = f"{row['up_to']} or fewer" if row["up_to"] > 1 else "1 or 0"
            parts.append(
                f"with {few} {row['run']}'s left the margins of all words lie within "
                f"{row['spread']:.1f} of each other, and one more {row['run']} changes them by at "
                f"least {row['change']:.1f}"
            )
    if not parts:
        return None
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}: near the end the number left decides, whatever n was."


def boundary_sentence(facts: dict, language: Language) -> str | None:
    """Return where a network of two hidden units and two symbols predicts which."""
    if not facts.get("boundary"):
        return None
    one, other = language.symbols
    return f"It predicts {other} where {facts['boundary']}, else {one} (h0, h1: hidden units)."


def leads_sentence(facts: dict, language: Language) -> str | None:
    """Return where repeating each symbol leads an SRN: the attractors that ten more of it reach."""
    if facts.get("unit_name") != "hidden unit":
        return None
    parts = []
    for row in facts.get("fixed_points", ()):
        reached = row["kind"] == "attractor" and row["after_10"] <= REACHED
        if reached and row["symbol"] not in " ".join(parts):
            values = ", ".join(format_eigenvalue(value) for value in row["eigenvalues"][:2])
            parts.append(
                f"{row['symbol']}'s to {format_vector(row['point'])} (eigenvalues {values}; "
                f"{row['distance']:.2f} from the words)"
            )
    return f"Repeated symbols lead to attractors: {', '.join(parts)}." if parts else None


def slow_sentence(facts: dict, language: Language) -> str | None:
    """Return the bottleneck in which an SRN counts: a slow point near the words."""
    found = facts.get("slow_point")
    if not found or found["speed"] > SLOW_SPEED or found["distance"] > SLOW_DISTANCE:
        return None
    leading, point = found["eigenvalues"][0], np.array(found["point"])
    near = [
        row
        for row in facts["fixed_points"]
        if row["symbol"] == found["symbol"] and np.linalg.norm(row["point"] - point) < SLOW_DISTANCE
    ]
    pairs = zip(found["left"], found["apart"], strict=True)
    # With none left a word has reached the point, and not passed it.
    passing = {
        n: left for n, (left, apart) in enumerate(pairs, 1) if left and apart <= SLOW_DISTANCE
    }
    if abs(leading - 1) > SLOW_EIGENVALUE or near or not passing:
        return None
    low, high = min(passing.values()), max(passing.values())
    left = f"{low}" if low == high else f"{low} to {high}"
    growing = ", and leave it in growing steps" if found["growing"] else ""
    return (
        f"{found['symbol']}'s pass a bottleneck at {format_vector(point)}, a slow point and not a "
        f"fixed one (speed {found['speed']:.2f}, eigenvalue {leading.real:.2f}), with {left} "
        f"{found['symbol']}'s left (n = {', '.join(map(str, passing))}){growing}."
    )


def mistake_sentence(facts: dict, language: Language) -> str:
    """Return the highest probability of an impossible symbol, and the lowest of a possible one."""
    worst, least = facts["likeliest_mistake"]["impossible"], facts["likeliest_mistake"]["possible"]
    return (
        f"The highest probability of a symbol that cannot follow is {worst['probability']:.3f} "
        f"({worst['symbol']} at {worst['state']}), the lowest of one that can "
        f"{least['probability']:.3f} ({least['symbol']} at {least['state']})."
    )


def sentences(facts: dict, language: Language) -> list[str]:
    """Return the sentences of seq_plot.py's answer."""
    kinds = (remembered_sentence, words_sentence, machine_sentence)
    if language.times:
        kinds += (counter_sentence, handed_on_sentence, countdown_sentence, boundary_sentence)
        kinds += (leads_sentence, slow_sentence, generalisation_sentence)
    else:
        kinds += (mistake_sentence,)
    found = [kind(facts, language) for kind in kinds]
    return [sentence for sentence in found if sentence]


def training_sentences(results: dict, language: Language) -> list[str]:
    """Return the sentences of seq_train.py's answer."""
    last, seen = results["max_loss"], results["reports"][-1]["seen"]
    verdict = "succeeded" if results["succeeded"] else "did not succeed"
    found = [
        f"Training {verdict}: the highest loss of the last reports is {last:.4f} (required: below "
        f"{results['loss_threshold']:.3g}), after {seen:,} sequences in {results['seconds']:.1f} s."
    ]
    if results["reference_loss"]:
        found.append(
            f"Predicting the true frequencies has a loss of {results['reference_loss']:.4f}: "
            "after an A the loss compares with 0.8 and 0.2 instead."
        )
    kinds = (remembered_sentence, words_sentence, generalisation_sentence)
    return found + [text for kind in kinds if (text := kind(results, language))]
