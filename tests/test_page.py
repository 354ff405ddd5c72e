"""The page to play with, without a browser (browser/test_browser.py has the rest)."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from page_data import example, examples, random_net
from sklearn.decomposition import PCA

from recurrent import page as module
from recurrent.page import MAX_SIZE, RADIUS, page
from seq_models import SRN

EXAMPLES = examples()
NINE = {"number": np.zeros(9), "group": np.zeros(9, int)}


class Page(HTMLParser):
    """What a browser makes of a page: its tags with attributes, and the texts in them."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.texts, self.open = [], {}, None
        self.feed(text)
        self.data = json.loads(self.texts["script", "data"])

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open = tag, dict(attrs).get("id")

    def handle_endtag(self, tag):
        self.open = None

    def handle_data(self, text):
        self.texts[self.open] = self.texts.get(self.open, "") + text

    def found(self, tag: str, **attributes) -> list[dict]:
        wanted = attributes.items()
        return [attrs for name, attrs in self.tags if name == tag and wanted <= attrs.items()]


@pytest.mark.parametrize("name", EXAMPLES)
def test_page_is_self_contained_and_holds_the_weights(name):
    data = EXAMPLES[name].data
    text = page(data)
    shown = Page(text)
    assert len(text.encode()) < MAX_SIZE
    assert "{{" not in text
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", text)
    addresses = [a[key] for _, a in shown.tags for key in ("src", "href") if key in a]
    assert addresses == ["data:,"]
    assert shown.data["weights"].keys() == data["weights"].keys()
    for key, weights in data["weights"].items():
        # Equal as float32, not close.
        np.testing.assert_array_equal(np.float32(shown.data["weights"][key]), weights)
    assert shown.data["sequence"] == data["sequence"]
    assert shown.texts["title", None] == shown.texts["h1", None] == data["title"]


def test_template_is_short():
    lines = Path(module.__file__).with_suffix(".html").read_text("utf-8").splitlines()
    assert len(lines) <= 400
    assert max(map(len, lines)) <= 100


def test_any_title_is_shown_as_it_is():
    title = "</script><!-- <b>a & b {{data}}"
    data = EXAMPLES["srn"].data
    machine = data["machine"] | {"names": [title, *data["machine"]["names"][1:]]}
    shown = Page(page(data | {"title": title, "machine": machine}))
    assert shown.data["title"] == shown.data["machine"]["names"][0] == title
    assert shown.texts["title", None] == shown.texts["h1", None] == title
    plain = Page(page(data))
    assert len(shown.found("script")) == len(plain.found("script")) == 2
    assert len(shown.found("b")) == len(plain.found("b"))


def test_dots_have_the_colours_of_the_pictures():
    data = EXAMPLES["srn"].data
    count = len(data["states"])
    number = np.full(count, 4.0)
    number[:2] = 0, np.nan
    group = np.r_[-1, np.zeros(count - 1, int)]
    colours = Page(page(data | {"number": number, "max_number": 4, "group": group})).data["colours"]
    # matplotlib's jet begins and ends with these; grey has no number or no machine state.
    assert colours["number"][:3] == ["#000080", "#808080", "#800000"]
    assert colours["machine"][0] == "#808080" != colours["machine"][1]


def test_equal_dots_are_drawn_once_and_many_are_thinned_out():
    data = EXAMPLES["srn"].data
    states = np.random.default_rng(0).uniform(-1, 1, (60_000, 2))
    extra = {"number": np.ones(60_000), "group": np.zeros(60_000, int)}
    text = page(data | {"states": states} | extra)
    kept = Page(text).data
    assert len(text.encode()) <= MAX_SIZE
    assert 3000 < len(kept["states"]) == len(kept["colours"]["number"])
    repeated = np.repeat(states[:30], 2000, axis=0) + 1e-6
    assert len(Page(page(data | {"states": repeated} | extra)).data["states"]) == 30


def test_what_is_too_large():
    data = EXAMPLES["srn"].data
    table = {"transitions": np.zeros((40_000, 2), int), "start": 0, "end": 0}
    assert Page(page(data | {"language": table})).data["language"] is None
    with pytest.raises(ValueError, match="larger than 400000 bytes"):
        page(data | {"sequence": "A" * MAX_SIZE})


def test_a_diverged_network_has_null_weights():
    data = EXAMPLES["large"].data
    weights = data["weights"] | {"V": np.full((8, 7), np.nan)}
    shown = Page(page(data | {"weights": weights, "states": np.full((9, 16), np.nan)} | NINE)).data
    assert shown["weights"]["V"][0][0] is shown["states"][0][0] is None


def test_principal_components():
    data = EXAMPLES["large"].data
    shown = Page(page(data)).data["components"]
    for kind, units in (("hidden", data["states"][:, :8]), ("context", data["states"][:, 8:])):
        pca = PCA(3).fit(units.numpy())
        np.testing.assert_allclose(shown[kind]["mean"], pca.mean_, atol=1e-6)
        cosines = np.sum(shown[kind]["axes"] * pca.components_, axis=1)
        np.testing.assert_allclose(abs(cosines), 1, atol=1e-5)


def test_menus_offer_what_there_is():
    def offered(name: str, **changes) -> dict[str, list[str]]:
        shown = Page(page(EXAMPLES[name].data | changes))
        menus = {}
        for tag, attrs in shown.tags:
            if tag == "select":
                menus[attrs["id"]] = values = []
                assert attrs["aria-label"]
            elif tag == "option":
                values.append(attrs["value"])
        return {key: values for key, values in menus.items() if len(values) > 1}

    assert offered("srn", machine=None) == {}
    assert offered("lstm") == {"kind": ["hidden", "context"], "colour": ["number", "machine"]}
    assert offered("large")["axis2"] == [str(j) for j in range(-3, 8)]


def test_arrows_of_the_machine_touch_their_states_and_no_others():
    # A loop, arrows in both directions, one past a state between, and two symbols to one state.
    machine = dict(
        names=["start", "B3 C9", "last"], places=[[0, 0], [1, 0], [2, 0]], start=0,
        transitions=[[0, 1], [0, 2], [0, 0]], outputs=[-1, 1, -1],
    )  # fmt: skip
    text = page(EXAMPLES["srn"].data | {"machine": machine})
    svg = text[text.index("<svg") : text.index("</svg>")]
    centres = re.findall(r'data-state="\d"><circle cx="(.*?)" cy="(.*?)"', svg)
    centres = np.array(centres, float) @ [1, 1j]
    assert abs(np.diff(centres)) == pytest.approx([92, 92])
    arrows = re.findall(
        r'data-from="(\d)" data-symbol="(\d)".*?d="M(.*?) (.*?)[QC](.*?)".*?d="M(.*?) (.*?)L.*?'
        r'<circle cx="(.*?)" cy="(.*?)"',
        svg,
    )
    assert len(arrows) == 6
    labels = []
    for source, symbol, x, y, _, tip_x, tip_y, label_x, label_y in arrows:
        target = machine["transitions"][int(source)][int(symbol)]
        assert abs(float(x) + 1j * float(y) - centres[int(source)]) == pytest.approx(
            RADIUS, abs=0.1
        )
        tip = float(tip_x) + 1j * float(tip_y)
        assert abs(tip - centres[target]) == pytest.approx(RADIUS, abs=0.1)
        labels.append(float(label_x) + 1j * float(label_y))
    apart = abs(np.subtract.outer(labels, labels)) + 99 * np.eye(6)
    assert apart.min() > 18
    assert abs(np.subtract.outer(labels, centres)).min() > RADIUS + 8
    # The first symbol's colour, where only one is predicted; a double circle where words end.
    assert 'class="tint" style="fill: var(--s1)"' in svg
    assert svg.count('class="ring"') == 1
    assert ">B3</text>" in svg


def test_a_machine_with_one_state():
    machine = dict(names=["a"], places=[[5, 5]], start=0, transitions=[[0, -1]], outputs=[0])
    assert Page(page(EXAMPLES["srn"].data | {"machine": machine})).found("g", **{"data-state": "0"})


def test_a_network_of_one_unit_without_a_machine():
    one = example(random_net(SRN, 2, 1), "AB", EXAMPLES["srn"].words)
    assert not Page(page(one.data | {"machine": None, "language": None})).found("svg")
