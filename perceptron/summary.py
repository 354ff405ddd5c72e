"""The answer to the assignment's questions in a few sentences, from the results of a run."""

from __future__ import annotations

from cli.tables import count

from perceptron.network import format_number, format_sum
from perceptron.scales import SCALES

# Hidden units whose lines and weights a sentence can list; more are in the tables only.
MAX_LISTED = 8


def summary(results: dict) -> list[str]:
    """Return the sentences that hold for the results of a run, which --json writes too."""
    sentences = [_points(results["points"], results["misclassified"])]
    if results.get("restarts", 1) > 1:
        sentences.append(
            f"Networks that classify all points correctly after {results['epochs']:,} epochs: "
            f"{results['restarts_correct']} of {results['restarts']}, trained side by side."
        )
    if "tried" in results:
        sentences.append(_fewest(results["tried"]))
    lines, weights = results["dividing_lines"], results["weights"]
    if len(lines) <= MAX_LISTED:
        sentences.append(_lines(lines))
        names = [each["unit"] for each in lines]
        coefficients = weights["hid_out_weight"].flatten().tolist()
        sentences.append(_output(names, coefficients, weights["out_bias"].item()))
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


def _points(points, misclassified: list) -> str:
    if not misclassified:
        return f"The network classifies all {len(points)} points correctly."
    names = ", ".join(f"({format_number(x1)}, {format_number(x2)})" for x1, x2 in misclassified[:9])
    names += ", ..." * (len(misclassified) > 9)
    return f"The network misclassifies {len(misclassified)} of {len(points)} points: {names}."


def _fewest(tried: list[dict]) -> str:
    *fewer, last = tried
    text = f"The fewest hidden step units for these points: {last['hidden_units']}."
    if fewer:
        lines = count(fewer[-1]["hidden_units"], "line")
        text += (
            f" Lines divide the points in {tried[0]['sets_of_lines']:,} ways; all "
            f"{fewer[-1]['sets_of_lines']:,} sets of {lines} were tried, and no output unit solves "
            "the table with any of them."
        )
    return text


def _lines(lines: list[dict]) -> str:
    first, *others = [f"{each['active']} {each['line']}" for each in lines]
    text = [f"H1 is active {first}", *(f"H{unit} {text}" for unit, text in enumerate(others, 2))]
    return f"{', '.join(text)}."


def _output(units: list[str], weights: list[float], bias: float) -> str:
    """Return what the output unit does with the hidden units, by the signs of its weights."""
    parts = []
    for verb, sign in (("excite", 1), ("inhibit", -1)):
        names = [unit for unit, weight in zip(units, weights, strict=True) if weight * sign > 0]
        if names:
            listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
            object = "it" if parts else "the output"
            parts.append(f"{listed} {verb}{'s' * (len(names) == 1)} {object}")
    if not parts:
        return "No hidden unit influences the output, because its weights are 0."
    left, right = format_sum(zip(weights, units, strict=True)), format_number(-bias)
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
