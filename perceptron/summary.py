"""A network in words: its dividing lines, and the answer to the assignment's questions."""

from __future__ import annotations

from cli.tables import count

from collections.abc import Iterable

from torch import nn

from perceptron.design import SCALES
from perceptron.network import weights

# Hidden units whose lines and weights a sentence can list; more are in the tables only.
MAX_LISTED = 8


def summary(results: dict) -> list[str]:
    """Return the sentences that hold for the results of a run, which --json writes too."""
    points, wrong, lines = (results[key] for key in ("points", "misclassified", "dividing_lines"))
    sentences = [f"The network classifies all {len(points)} points correctly."]
    if wrong:
        names = [f"({format_number(x1)}, {format_number(x2)})" for x1, x2 in wrong[:9]]
        listed = ", ".join(names + ["..."] * (len(wrong) > 9))
        sentences = [f"The network misclassifies {len(wrong)} of {len(points)} points: {listed}."]
    if results.get("restarts", 1) > 1:
        sentences.append(
            f"Networks that classify all points correctly after {results['epochs']:,} epochs: "
            f"{results['restarts_correct']} of {results['restarts']}, trained side by side."
        )
    if "tried" in results:
        *fewer, last = results["tried"]
        text = f"The fewest hidden step units for these points: {last['hidden_units']}."
        if fewer:
            text += (
                f" Lines divide the points in {fewer[0]['sets_of_lines']:,} ways; all "
                f"{fewer[-1]['sets_of_lines']:,} sets of {count(len(fewer), 'line')} were tried, "
                "and no output unit solves the table with any of them."
            )
        sentences.append(text)
    if len(lines) <= MAX_LISTED:
        active = [f"{each['unit']} {each['active']} {each['line']}" for each in lines]
        sentences.append(f"{', '.join(active)}.".replace("H1", "H1 is active", 1))
        sentences.append(_output([each["unit"] for each in lines], results["weights"]))
    if "smallest_scale" in results:
        sentences.append(_scale(results["smallest_scale"]))
    # From 0.5 on, a unit could be on the other side of its line.
    if results.get("step_difference", 0.5) < 0.5:
        bound = (int(1000 * results["step_difference"]) + 1) / 1000
        sentences.append(
            f"Scaled by {results['scale']:g}, all activations are within {bound:.3f} of those of "
            "step units."
        )
    return sentences


def _output(units: list[str], weights: dict) -> str:
    """Return what the output unit does with the hidden units, by the signs of its weights."""
    terms = list(zip(weights["hid_out_weight"].flatten().tolist(), units, strict=True))
    parts = []
    for verb, sign in (("excite", 1), ("inhibit", -1)):
        names = [unit for weight, unit in terms if weight * sign > 0]
        if names:
            listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
            object = "it" if parts else "the output"
            parts.append(f"{listed} {verb}{'s' * (len(names) == 1)} {object}")
    if not parts:
        return "No hidden unit influences the output, because its weights are 0."
    left, right = format_sum(terms), format_number(-weights["out_bias"].item())
    return f"{', '.join(parts)}; the output is active where {left} >= {right}."


def _scale(smallest: float | None) -> str:
    low, high = f"{SCALES[0]:g}", f"{SCALES[-1]:,.0f}"
    if smallest is None:
        return (
            f"At {high}, the largest scale tried of the weights of check.py, an output of sigmoid "
            "units is on the wrong side of 0.5, or 0.5 to nine digits."
        )
    if smallest == SCALES[0]:
        return f"Sigmoid units classify all points correctly at all scales tried, {low} to {high}."
    return (
        "Smallest scale of the weights of check.py from which on sigmoid units classify all points "
        f"correctly: {smallest:.5g} (of the scales tried, {low} to {high})."
    )


# Dividing lines


def dividing_lines(net: nn.Module) -> list[dict]:
    """Return a record of each hidden unit's dividing line, and of where the unit is active."""
    weight, bias, *_ = weights(net).values()
    units = enumerate(zip(weight.tolist(), bias.tolist(), strict=True), 1)
    return [{"unit": f"H{number}", **line_equation(*unit)} for number, unit in units]


def line_equation(weight: list[float], bias: float) -> dict[str, str]:
    """Return the equation of a line w1 x1 + w2 x2 + bias = 0, and the side where it is positive.

    Weights (-10, 10) and bias -5 give {"line": "x2 = x1 + 0.5", "active": "above"}. Where |w2| is
    below 0.001 |w1|, the line counts as vertical: "x1 = 2". If both weights are 0 there is no line:
    "(no line)", active "everywhere" or "nowhere".
    """
    w1, w2 = weight
    if not w1 and not w2:
        return {"line": "(no line)", "active": "everywhere" if bias >= 0 else "nowhere"}
    if abs(w2) < 0.001 * abs(w1):
        line = f"x1 = {format_number(-bias / w1)}"
        return {"line": line, "active": "to the right of" if w1 > 0 else "to the left of"}
    line = format_sum([(-w1 / w2, "x1"), (-bias / w2, "")])
    return {"line": f"x2 = {line}", "active": "above" if w2 > 0 else "below"}


def format_sum(terms: Iterable[tuple[float, str]]) -> str:
    """Return a sum of coefficients and names: [(-1, "x1"), (0.5, "")] gives "-x1 + 0.5"."""
    text = ""
    for value, name in terms:
        size = format_number(abs(value))
        if size != "0":
            size = name if name and size == "1" else f"{size} {name}".strip()
            text += (" - " if value < 0 else " + ") + size if text else "-" * (value < 0) + size
    return text or "0"


def format_number(value: float) -> str:
    """Return a number as text with up to three decimals, without trailing zeros, never -0."""
    return f"{round(value, 3) + 0:.10g}"
