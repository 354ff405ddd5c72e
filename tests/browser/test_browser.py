"""The page to play with in a real browser: Chromium without a screen, driven by selenium.

Needs Debian's chromium and chromium-driver. Every test also fails if the browser's console has a
message. Screenshots of both widths and themes are written to pytest's temporary folder.
"""

import base64
import io
import shutil
import time

import numpy as np
import pytest
import torch
from page_data import EXAMPLES
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.keys import Keys

from recurrent.page import page


class Browser:
    """One page in Chromium, and what a visitor does with it."""

    def __init__(self, folder):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or shutil.which("google-chrome")
        # No sandbox, because tests may run as root; no GPU is needed for a canvas.
        for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.ChromeService(shutil.which("chromedriver"))
        self.driver = webdriver.Chrome(options, service)
        self.path, self.command = folder / "page.html", self.driver.execute_cdp_cmd

    def open(self, name: str, width: int = 1280, dark=False, word: str = "", **changes) -> None:
        """Open the page of an example, some of whose data are changed."""
        self.path.write_text(page(EXAMPLES[name].data | changes), encoding="utf-8")
        size = dict(width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
        self.command("Emulation.setDeviceMetricsOverride", size)
        theme = dict(name="prefers-color-scheme", value="dark" if dark else "light")
        self.command("Emulation.setEmulatedMedia", dict(features=[theme]))
        # Another page first, because a change of the fragment alone does not load a page.
        self.driver.get("about:blank")
        self.driver.get(f"{self.path.as_uri()}#{word}" if word else self.path.as_uri())

    def js(self, script: str, *values):
        return self.driver.execute_script(f"return {script}", *values)

    def all(self, query: str):
        return self.driver.find_elements("css selector", query)

    def do(self, *actions: str) -> None:
        """Click on elements, given by #id or .class; type other text where the focus is."""
        for action in actions:
            if action[0] in "#.":
                self.all(action)[0].click()
            else:
                ActionChains(self.driver).send_keys(action).perform()

    @property
    def rows(self) -> list[list[str]]:
        """The cells of the table of activations."""
        script = "[...document.querySelectorAll('#activations tbody tr')]"
        return self.js(script + ".map((row) => [...row.cells].map((cell) => cell.innerText))")

    def shown(self) -> tuple[str, int, str]:
        """Return the word, the number of symbols read, and the text of the status line."""
        word = "".join(row[0] for row in self.rows)
        return word, len(self.all("#activations .read")), self.all("[role=status]")[0].text

    def picture(self) -> np.ndarray:
        """Return the pixels (height, width, 3) of the state space."""
        url = self.js("document.querySelector('#space').toDataURL()")
        content = io.BytesIO(base64.b64decode(url.partition(",")[2]))
        return np.array(Image.open(content).convert("RGB"))

    def wait(self, condition) -> None:
        """Wait until a condition holds; fail after ten seconds."""
        end = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.02)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("pages"))
    yield browser
    browser.driver.quit()


@pytest.fixture
def browser(chromium):
    """The browser; the test fails if its console has a message at the end."""
    chromium.driver.get_log("browser")
    yield chromium
    assert chromium.driver.get_log("browser") == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_activations_are_those_of_torch(name, browser):
    """On a long word that the language does not allow."""
    net, language = EXAMPLES[name].net, EXAMPLES[name].language
    word = language.symbols[::-1] * 2 + language.symbols[0] * 50 + language.symbols[1] * 200
    browser.open(name, word=word)
    with torch.no_grad():
        states = net.states(torch.from_numpy(language.encode(word))[:, None])[:, 0]
        expected = np.hstack([states, net.read_out(states).softmax(dim=-1)])
    assert browser.shown()[:2] == (word, len(word))
    values = np.array([row[1:] for row in browser.rows], float)
    np.testing.assert_allclose(values, expected, atol=1e-4)


def test_a_network_that_counts(browser):
    browser.open("counter", word="AABBBB")
    # After an A the next run's symbol is B: it is always more probable, because the context is 1.
    margins = browser.js("read.slice(1).map((r) => r.margin > 0)")
    assert margins == [True, True, False, False, False, True]
    assert "Most probable next symbol: A." in browser.shown()[2]


LEFT, RIGHT, HOME, END = Keys.ARROW_LEFT, Keys.ARROW_RIGHT, Keys.HOME, Keys.END
# A page, a word, what is done, the word and the number of symbols read afterwards, the status.
VISITS = [
    ("srn", "AABBBB", [HOME], "AABBBB", 0, "Nothing read yet"),
    ("srn", "AABBBB", [LEFT, LEFT, RIGHT], "AABBBB", 5, "Symbol 5 of 6."),
    ("srn", "AABBBB", [HOME, "#step", "#step", "#step", "#back"], "AABBBB", 2, ""),
    ("srn", "AABBBB", [".read:nth-child(4)"], "AABBBB", 4, ""),
    # Within the field, keys edit the word.
    ("srn", "AABBBB", ["#word", HOME, Keys.DELETE], "ABBBB", 5, "Symbol 4, B, is not allowed"),
    ("srn", "A", ["#word", END, "X"], "A", 1, "Left out, no such input: X."),
    ("srn", "A", ["#word", END, Keys.BACK_SPACE], "", 0, "The word is empty"),
    ("srn", "A", ["#symbols :last-child", "#symbols *"], "ABA", 3, "Symbol 3, A, is not allowed"),
    # The arrows of the machine: the rest of the word is replaced.
    ("srn", "ABB", [HOME, ".arrow.out text"], "A", 1, ""),
    # At first one symbol before the end.
    ("large", "", [], "BPTVVE", 5, "Symbol 5 of 6."),
    ("large", "", [END], "BPTVVE", 6, "The word is over."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "word", "actions", "read", "position", "status"), VISITS)
def test_visits(name, word, actions, read, position, status, browser):
    browser.open(name, word=word)
    browser.do(*actions)
    shown = browser.shown()
    assert shown[:2] == (read, position)
    assert status in shown[2]
    assert ("not allowed" in shown[2]) == ("not allowed" in status)
    # The machine's state is lit, or there is none.
    lit = [state.text for state in browser.all(".state.lit")]
    assert lit == ([] if "not allowed" in status else [browser.js("machine.names[read[now].q]")])


def test_playing(browser):
    browser.open("srn", word="AABBBB" * 4)
    browser.js("document.querySelector('#speed').value = 20")
    browser.do(HOME, Keys.SPACE)
    browser.wait(lambda: browser.shown()[1] > 1)
    browser.do(Keys.SPACE)
    paused = browser.shown()[1]
    time.sleep(0.2)
    assert browser.shown()[1] == paused < 24
    browser.do("#play")
    browser.wait(lambda: browser.shown()[1] == 24)
    assert browser.all("#play")[0].text == "play"


def test_the_address_has_the_word(browser):
    browser.open("srn", word="ABB")
    browser.do("#symbols *")
    browser.wait(lambda: browser.driver.current_url.endswith("#ABBA"))


@pytest.mark.parametrize("name", ["lstm", "srn"])
def test_mouse_and_keys_turn_the_picture(name, browser):
    browser.open(name)
    space, first, position = browser.all("#space")[0], browser.picture(), browser.shown()[1]
    for act in (
        lambda chain: chain.click_and_hold(space).move_by_offset(90, 30).release(),
        lambda chain: chain.key_down(Keys.SHIFT).send_keys(LEFT).key_up(Keys.SHIFT),
        lambda chain: chain.scroll_from_origin(ScrollOrigin.from_element(space), 0, -200),
    ):
        before = browser.picture()
        act(ActionChains(browser.driver, duration=50)).perform()
        browser.wait(lambda before=before: (before != browser.picture()).mean() > 0.005)
    assert (browser.js("scrollY"), browser.shown()[1]) == (0, position)
    ActionChains(browser.driver).double_click(space).perform()
    np.testing.assert_array_equal(browser.picture(), first)


def test_choices(browser):
    browser.open("large")
    for key, value in (("axis0", "4"), ("kind", "context"), ("colour", "machine")):
        before = browser.picture()
        browser.do(f"#{key} option[value='{value}']")
        assert (before != browser.picture()).mean() > 0.003
    axes = browser.js("axes.map((axis) => axis.name)")
    assert axes == ["context unit 4", "context PC 2", "context PC 3"]


def test_decision_boundary(browser):
    """A network that predicts A where its first unit is above 0.85: bluish; B: reddish."""
    output = {"V": [[1, -1], [0, 0]], "out_bias": [-0.85, 0.85]}
    browser.open("srn", weights=EXAMPLES["srn"].data["weights"] | output)
    browser.do(HOME)
    left, right = browser.js("axes[0].ends")
    script = "arguments[0].map(projection(space.clientWidth, space.clientHeight))"
    for across in (-0.9, -0.2, 0.2, 0.9):
        points = browser.js(script, [[across, up] for up in np.linspace(-0.98, 0.98, 9)])
        red, _, blue = np.median([browser.picture()[int(y), int(x)] for x, y, _ in points], axis=0)
        assert (blue > red) == (left + (right - left) * (across + 1) / 2 > 0.85)
        assert blue != red


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("name", EXAMPLES)
def test_screens(name, width, browser, tmp_path):
    for dark in (False, True):
        browser.open(name, width=width, dark=dark)
        assert browser.js("document.documentElement.scrollWidth <= innerWidth")
        assert (browser.picture()[2, 2].mean() < 60) == dark
        browser.driver.save_screenshot(str(tmp_path / f"{name}_{width}_{dark}.png"))
    colours = {"#" + bytes(pixel).hex() for pixel in browser.picture().reshape(-1, 3)}
    assert len(colours & set(browser.js("data.colours.number"))) > 3
