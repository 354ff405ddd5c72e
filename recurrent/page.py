"""The page to play with: one HTML file in which a trained network runs (template: page.html)."""

from __future__ import annotations

from cli.files import to_json

import html
import json
import re
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex
from scipy.spatial.distance import pdist

from recurrent.extraction import Extraction, States
from recurrent.language import Language
from recurrent.pictures import word_before, words_shown

# Highest n of the words that the page does not mark as foreign.
MAX_N = 20
# Maximum size of a page, and of a language's table in it, in bytes.
MAX_SIZE, MAX_TABLE = 400_000, 100_000
# Radius of a machine's states, distance of the closest two, and size of a loop, in pixels.
RADIUS, GAP, LOOP = 24, 92, 70


def page_data(
    net, language: Language, states: States, extraction: Extraction, title: str, drawn: bool
) -> dict:
    """Return the data of a network's page; drawn: whether its machine is shown."""
    machine, words = extraction.machine, words_shown(language)
    # For more n than in training, so that words to generalise to are not marked.
    wide = language.with_max_n(MAX_N) if language.times else language
    keys = ("names", "places", "transitions", "outputs")
    return {
        "title": title,
        "model": "srn" if net.blocks == 1 else "lstm",
        "hid": net.hid,
        "symbols": language.symbols,
        "chained": language.chained,
        "weights": net.state_dict(),
        "sequence": word_before(language) + words[-1],
        "times": language.times,
        "states": states.vectors,
        "number": states.number,
        "max_number": language.numbers.max(),
        "group": extraction.state if drawn else np.full(len(states.vectors), -1),
        "machine": {key: getattr(machine, key) for key in keys} | {"start": 0} if drawn else None,
        "language": {"transitions": wide.transitions, "start": 0, "end": language.end},
    }


def page(data: dict) -> str:
    """Return a self-contained HTML page in which a network reads words: at most MAX_SIZE bytes.

    data, whose numbers may be arrays or tensors, for C symbols, H hidden units, P dots, M states:
        title; model ("srn" or "lstm"); hid (H); symbols ("AB"); sequence, the word shown first.
        chained: whether words follow each other; else a word ends with E.
        weights: W, U, hid_bias, V, out_bias and, of an SRN, H0, as in seq_models.py.
        times: each letter's multiplier of n in a counting language; else None.
        states: (P, D), the dots. number: (P,), their state numbers, nan if there is none, and
        max_number. group: (P,), the machine state of each, -1 if there is none.
        machine: names, places (M, 2), transitions (M, C) with -1 for none, start, and outputs (M,),
        the only symbol predicted or -1; or None.
        language: transitions (N, C), start, end. The page marks symbols that it does not allow,
        unless the table is larger than MAX_TABLE.

    Dots that look the same are drawn once. Of too many dots, every second one is left out until the
    page is small enough. Raises ValueError if it cannot be.
    """
    data = to_json(data)
    states, hid = np.array(data["states"], float), data["hid"]
    jet = colormaps["jet"].with_extremes(bad="0.5")
    number = np.ma.masked_invalid(np.array(data.pop("number"), float))
    group = np.array(data.pop("group"))
    # One of 20 colours for each machine state, grey without one.
    by_group = np.where(group[:, None] < 0, 0.5, colormaps["tab20"](group % 20))
    colours = {"number": jet(number / (data["max_number"] or 1)), "machine": by_group}
    data["jet"] = [to_hex(colour) for colour in jet(np.linspace(0, 1, 40))]
    kinds = {"hidden": states[:, :hid], "context": states[:, hid:]}
    if hid > 3:
        data["components"] = {kind: _components(v) for kind, v in kinds.items() if v.size}
    if len(json.dumps(data["language"])) > MAX_TABLE:
        data["language"] = None
    template = Path(__file__).with_suffix(".html")
    units = [f"{kind} {j}" for kind, values in kinds.items() for j in range(values.shape[1])]
    columns = ["symbol", *units, *(f"P({symbol})" for symbol in data["symbols"])]
    parts = {
        "title": html.escape(data["title"]),
        "model": data["model"],
        "style": template.with_suffix(".css").read_text(encoding="utf-8"),
        "symbols": "".join(
            f'<button style="color: var(--s{k % 7})" aria-label="append {symbol}">{symbol}</button>'
            for k, symbol in enumerate(data["symbols"])
        ),
        "choices": _choices(data),
        "machine": _diagram(data["machine"], data["symbols"]) if data["machine"] else "",
        "head": "".join(f'<th scope="col">{name}</th>' for name in columns),
    }
    kept = _distinct(states)
    # No more than that could fit.
    kept = kept[:: 1 + len(kept) // 8000]
    while True:
        data["states"] = [[float(f"{x:.5g}") for x in state] for state in states[kept]]
        data["colours"] = {by: [to_hex(c) for c in rgba[kept]] for by, rgba in colours.items()}
        text = json.dumps(to_json(data), allow_nan=False, separators=(",", ":"))
        # JSON in a script element must not contain "</script>" or "<!--".
        parts["data"] = text.replace("<", "\\u003c")
        filled = re.sub(r"\{\{(\w+)\}\}", lambda part: parts[part[1]], template.read_text("utf-8"))
        if (size := len(filled.encode())) <= MAX_SIZE:
            return filled
        if len(kept) < 100:
            raise ValueError(f"the page would be larger than {MAX_SIZE} bytes: {size}")
        kept = kept[::2]


def _choices(data: dict) -> str:
    """Return the page's menus: units, axes and colours; a menu without a choice is hidden."""
    kinds = {"hidden": "hidden units", "context": "context units"}
    both = data["model"] == "lstm" and data["hid"] > 1
    menus = {"kind": ("units", kinds if both else {"hidden": "hidden units"}, "hidden")}
    # The principal components (PC) have the numbers -3 to -1.
    axes = {j: f"unit {j}" if j >= 0 else f"PC {j + 4}" for j in range(-3, data["hid"])}
    for d in range(3):
        options, picked = (axes, d - 3) if data["hid"] > 3 else ({d: ""}, d)
        menus[f"axis{d}"] = f"axis {d + 1}, PC: principal component", options, picked
    colours = {"number": "state number", "machine": "machine state"}
    menus["colour"] = "colours", colours if data["machine"] else {"number": ""}, "number"
    text = ""
    for key, (label, options, picked) in menus.items():
        hidden = " hidden" if len(options) == 1 else ""
        text += f'<select id="{key}" aria-label="{label}" title="{label}"{hidden}>'
        for value, name in options.items():
            selected = " selected" if value == picked else ""
            text += f'<option value="{value}"{selected}>{name}</option>'
        text += "</select>"
    return text


def _distinct(states: np.ndarray) -> np.ndarray:
    """Return the indices of the states (P, D) that differ by a thousandth of a unit's range."""
    spread = np.ptp(states, axis=0)
    pixels = np.rint((states - states.min(axis=0)) / np.where(spread > 0, spread, 1) * 1000)
    return np.sort(np.unique(pixels, axis=0, return_index=True)[1])


def _components(units: np.ndarray) -> dict:
    """Return the mean (H,) and the first three principal components (3, H) of units (P, H)."""
    # A network that diverged has no components, but still a page.
    units = np.nan_to_num(units)
    mean = units.mean(axis=0)
    return {"mean": mean, "axes": np.linalg.svd(units - mean, full_matrices=False)[2][:3]}


def _diagram(machine: dict, symbols: str) -> str:
    """Return a machine's state diagram as SVG; positions are complex numbers, in pixels.

    States that allow only one symbol are tinted in its colour; a double circle is where words end.
    """
    transitions = np.array(machine["transitions"])
    places = np.array(machine["places"], float) @ [1, -1j]
    distances = pdist(np.stack([places.real, places.imag], axis=1))
    places = places * (GAP / distances.min(initial=np.inf) if len(places) > 1 else 1)
    room = 90 if (transitions == np.arange(len(places))[:, None]).any() else 40
    low = places.real.min() - 90 + 1j * (places.imag.min() - room)
    size = places.real.max() + 50 + 1j * (places.imag.max() + room) - low
    first = places[machine["start"]] - RADIUS
    parts = [
        f'<svg id="map" viewBox="{low.real:.0f} {low.imag:.0f} {size.real:.0f} {size.imag:.0f}" '
        f'style="width: 100%; min-width: {0.65 * size.real:.0f}px; max-width: {size.real:.0f}px">',
        f'<path d="M{first.real - 38:.0f} {first.imag:.0f}h34m-9 -5l9 5l-9 5" '
        'fill="none" stroke="currentColor" stroke-width="1.6"/>',
    ]
    for source, symbol in np.argwhere(transitions >= 0):
        target = transitions[source, symbol]
        same = np.flatnonzero(transitions[source] == target)
        shift = 21 * (same.tolist().index(symbol) - (len(same) - 1) / 2)
        back = (transitions[target] == source).any()
        path, head, at = _arrow(places, source, target, back, shift)
        colour = f"var(--s{symbol % 7})"
        parts.append(
            f'<g class="arrow" data-from="{source}" data-symbol="{symbol}" '
            f'aria-label="read {symbols[symbol]}"><path class="line" d="{path}" stroke="{colour}" '
            f'stroke-width="1.8"/><path d="{head}" fill="{colour}"/><circle cx="{at.real:.1f}" '
            f'cy="{at.imag:.1f}" r="10"/><text x="{at.real:.1f}" y="{at.imag + 4.5:.1f}" '
            f'style="fill: {colour}">{symbols[symbol]}</text></g>'
        )
    chained = (transitions == machine["start"]).any()
    for state, (name, at) in enumerate(zip(machine["names"], places, strict=True)):
        only = machine["outputs"][state]
        ends = state == machine["start"] if chained else (transitions[state] < 0).all()
        circle = f'<circle cx="{at.real:.1f}" cy="{at.imag:.1f}" r="%s" class="%s" style="%s"/>'
        lines = html.escape(name).split()
        top = at.imag + 4 - 6.5 * (len(lines) - 1)
        parts += [
            f'<g class="state" data-state="{state}">',
            circle % (RADIUS, "", ""),
            circle % (RADIUS, "tint", f"fill: var(--s{only % 7})" if only >= 0 else ""),
            circle % (RADIUS - 3.5, "ring", "") if ends else "",
            *(
                f'<text x="{at.real:.1f}" y="{top + 13 * k:.1f}">{line}</text>'
                for k, line in enumerate(lines)
            ),
            "</g>",
        ]
    return "".join([*parts, "</svg>"])


def _arrow(places, source, target, back, shift) -> tuple[str, str, complex]:
    """Return an arrow's curve and head as SVG paths, and its label's position.

    back: whether there is an arrow in the other direction; shift: of the label along the arrow.
    """
    p, q = places[source], places[target]
    others = np.delete(places, [source, target])
    if source == target:
        # A loop, upwards in the upper half.
        up = 1j if p.imag > np.mean([places.imag.min(), places.imag.max()]) + 1 else -1j
        control = np.array([p + LOOP * (up - 0.7), p + LOOP * (up + 0.7)])
    else:
        across = (q - p) / abs(q - p) * 1j
        t = np.linspace(0.1, 0.9, 17)
        # The first bend that no other state is near.
        bends = [30, 60, -60, 100, -100] if back else [0, 36, -36, 72, -72, 120, -120]
        for bend in bends:
            control = np.array([(p + q) / 2 + bend * across])
            curve = (1 - t) ** 2 * p + 2 * t * (1 - t) * control + t**2 * q
            if (abs(curve[:, None] - others) > RADIUS + 8).all():
                break
    into = (q - control[-1]) / abs(q - control[-1])
    start = p + RADIUS * (control[0] - p) / abs(control[0] - p)
    end = q - RADIUS * into
    points = [start, *control, end - 8 * into]
    letter = "Q" if len(control) == 1 else "C"
    path = f"M{_xy(start)}{letter}" + " ".join(map(_xy, points[1:]))
    head = f"M{_xy(end)}L{_xy(end - (11 - 5j) * into)} {_xy(end - (11 + 5j) * into)}Z"
    weights = np.array([1, 2, 1] if len(control) == 1 else [1, 3, 3, 1])
    middle = weights @ points / weights.sum()
    return path, head, middle + shift * (into if len(control) == 1 else 1)


def _xy(point: complex) -> str:
    return f"{point.real:.1f} {point.imag:.1f}"
