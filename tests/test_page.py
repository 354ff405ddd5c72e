"""The page to play with, without a browser (browser/test_browser.py has the rest)."""

import html
import json
import re

import numpy as np
import pytest
from page_data import EXAMPLES
from sklearn.decomposition import PCA

from recurrent.page import MAX_N, MAX_SIZE, RADIUS, page


def shown(name: str, **changes) -> dict:
    """Return the data in the page of an example, some of whose data are changed."""
    text = page(EXAMPLES[name].data | changes)
    # As a browser does: up to the first end of a script.
    return json.loads(re.search(r'<script[^>]* id="data">(.*?)</script>', text)[1])


@pytest.mark.parametrize("name", EXAMPLES)
def test_page_is_self_contained_and_holds_the_network(name):
    text, data, language = page(EXAMPLES[name].data), shown(name), EXAMPLES[name].language
    assert len(text.encode()) < MAX_SIZE
    assert "{{" not in text
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", text)
    assert re.findall(r' (?:src|href)="(.*?)"', text) == ["data:,"]
    for key, weights in EXAMPLES[name].net.state_dict().items():
        # Equal as float32, not close.
        np.testing.assert_array_equal(np.float32(data["weights"][key]), weights)
    # Words of a counting language are allowed up to n = MAX_N, beyond those of training.
    node = 0
    for symbol in language.encode(language.word(MAX_N) if language.times else "BTXSE"):
        node = data["language"]["transitions"][node][symbol]
    assert node == language.end


def test_any_title_is_shown_as_it_is():
    title = "</script><!-- <b>a & b {{data}}"
    machine = EXAMPLES["srn"].data["machine"] | {"names": [title] * 9}
    found = shown("srn", title=title, machine=machine)
    assert found["title"] == found["machine"]["names"][0] == title
    text = page(EXAMPLES["srn"].data | {"title": title})
    for tag in ("title", "h1"):
        assert html.unescape(re.search(f"<{tag}>([^<]*)</{tag}>", text)[1]) == title


def test_principal_components():
    found, states = shown("large")["components"], EXAMPLES["large"].data["states"]
    for kind, units in (("hidden", states[:, :8]), ("context", states[:, 8:])):
        pca = PCA(3).fit(units)
        np.testing.assert_allclose(found[kind]["mean"], pca.mean_, atol=1e-6)
        cosines = np.sum(found[kind]["axes"] * pca.components_, axis=1)
        np.testing.assert_allclose(abs(cosines), 1, atol=1e-5)


def test_arrows_of_the_machine_touch_their_states():
    # A loop, arrows in both directions, one past a state between, and two symbols to one state.
    machine = dict(
        names=["start", "B3 C9", "last"], places=[[0, 0], [1, 0], [2, 0]], start=0,
        transitions=[[0, 1], [0, 2], [0, 0]], outputs=[-1, 1, -1],
    )  # fmt: skip
    text = page(EXAMPLES["srn"].data | {"machine": machine})
    svg = text[text.index("<svg") : text.index("</svg>")]
    number = r"(-?\d+\.\d)"
    centres = re.findall(rf'data-state="\d"><circle cx="{number}" cy="{number}"', svg)
    centres = np.array(centres, float) @ [1, 1j]
    assert abs(np.diff(centres)) == pytest.approx([92, 92])
    arrow = rf'data-from="(\d)" data-symbol="(\d)".*?M{number} {number}[QC].*?M{number} {number}L'
    arrows = np.array(re.findall(arrow, svg), float)
    source, symbol = arrows[:, :2].astype(int).T
    start, tip = arrows[:, 2:].reshape(6, 2, 2).transpose(1, 0, 2) @ [1, 1j]
    target = np.array(machine["transitions"])[source, symbol]
    np.testing.assert_allclose(abs(start - centres[source]), RADIUS, atol=0.1)
    np.testing.assert_allclose(abs(tip - centres[target]), RADIUS, atol=0.1)
