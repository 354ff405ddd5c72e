"""The page to play with in a real browser: Chromium without a screen, driven by selenium.

Needs Debian's chromium and chromium-driver. Every test also fails if the browser's console has a
message. Screenshots of both widths and themes are written to pytest's temporary folder.
"""

import base64
import html
import io
import re
import shutil
import time

import numpy as np
import pytest
from page_data import ANB2N, ANB2NC3N, REBER, example, examples, random_net, reading
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from recurrent.page import page
from seq_models import SRN

EXAMPLES = examples()
# Three words: of the language, not of the language, and long.
WORDS = {
    "srn": [ANB2N[2] + ANB2N[0], "BABAB", "A" * 20 + "B" * 40],
    "lstm": [ANB2NC3N[1] + ANB2NC3N[0], "CABBA", "A" * 9 + "B" * 18 + "C" * 27],
    "reber": [REBER[2], "EVPXSTB", "BT" + 30 * "S" + "XSE"],
    "counter": [ANB2N[3] + "A", "BBA", "A" * 30 + "B" * 60],
    "large": [REBER[1], "TTTT", "BP" + 30 * "T" + "VVE"],
}


class Browser:
    """One page in Chromium, and what a visitor does with it."""

    def __init__(self):
        names = ("chromium", "chromium-browser", "google-chrome")
        found = next(filter(None, map(shutil.which, names)), None)
        driver = shutil.which("chromedriver")
        if not found or not driver:
            pytest.fail("no browser: apt-get install -y chromium chromium-driver", pytrace=False)
        options = webdriver.ChromeOptions()
        options.binary_location = found
        # No sandbox, because tests may run as root; no GPU is needed for a canvas.
        for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(driver))

    def open(self, path, content: str = "", width: int = 1280, dark: bool = False, word: str = ""):
        """Write a page to `path` and open it."""
        if content:
            path.write_text(content, encoding="utf-8")
        size = dict(width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        theme = dict(name="prefers-color-scheme", value="dark" if dark else "light")
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", dict(features=[theme]))
        # Another page first, because a change of the fragment alone does not load a page.
        self.driver.get("about:blank")
        self.driver.get(f"{path.as_uri()}#{word}" if word else path.as_uri())

    def js(self, script: str, *values):
        return self.driver.execute_script(script, *values)

    def all(self, query: str):
        return self.driver.find_elements("css selector", query)

    def one(self, query: str):
        (found,) = self.all(query)
        return found

    def type(self, word: str) -> None:
        """Replace the word by typing."""
        self.one("#word").send_keys(Keys.CONTROL + "a" + Keys.NULL + Keys.DELETE + word)

    def press(self, *keys: str) -> None:
        """Press keys with the focus on nothing."""
        self.js("document.activeElement.blur()")
        ActionChains(self.driver).send_keys(*keys).perform()

    def rows(self) -> list[list[str]]:
        """Return the cells of the table of activations."""
        script = "return [...document.querySelector('#activations').tBodies[0].rows]"
        return self.js(script + ".map((row) => [...row.cells].map((cell) => cell.innerText))")

    @property
    def position(self) -> int:
        """The number of symbols read, by the lit row of the table."""
        script = "return [...document.querySelector('#activations').tBodies[0].rows]"
        return 1 + self.js(script + ".findIndex((row) => row.classList.contains('now'))")

    def text(self, query: str) -> str:
        return self.one(query).text

    def picture(self, query: str = "#space") -> np.ndarray:
        """Return the pixels (height, width, 3) of a canvas."""
        url = self.js("return document.querySelector(arguments[0]).toDataURL()", query)
        content = io.BytesIO(base64.b64decode(url.partition(",")[2]))
        return np.array(Image.open(content).convert("RGB"))

    def dots(self) -> int:
        """Return how many of the dots' colours the state space shows."""
        shown = {"#" + bytes(pixel).hex() for pixel in self.picture().reshape(-1, 3)}
        return len(shown & set(self.js("return data.colours.number")))

    def drag(self, query: str, x: int, y: int) -> None:
        chain = ActionChains(self.driver, duration=50)
        chain.click_and_hold(self.one(query)).move_by_offset(x, y).release().perform()

    def wait(self, condition, seconds: float = 10) -> None:
        """Wait until a condition holds; fail after some seconds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.02)


@pytest.fixture(scope="module")
def chromium():
    browser = Browser()
    yield browser
    browser.driver.quit()


@pytest.fixture
def browser(chromium):
    """The browser; the test fails if its console has a message at the end."""
    chromium.driver.get_log("browser")
    yield chromium
    assert chromium.driver.get_log("browser") == []


@pytest.fixture
def srn(browser, tmp_path):
    browser.open(tmp_path / "page.html", page(EXAMPLES["srn"].data))
    return browser


@pytest.fixture
def lstm(browser, tmp_path):
    browser.open(tmp_path / "page.html", page(EXAMPLES["lstm"].data))
    return browser


@pytest.mark.parametrize("name", EXAMPLES)
def test_activations_are_those_of_torch(name, browser, tmp_path):
    net, symbols = EXAMPLES[name].net, EXAMPLES[name].symbols
    browser.open(tmp_path / "page.html", page(EXAMPLES[name].data))
    for word in WORDS[name]:
        browser.type(word)
        rows = browser.rows()
        assert "".join(row[0] for row in rows) == word
        expected = np.hstack([values.numpy() for values in reading(net, symbols, word)])
        np.testing.assert_allclose(np.array(rows)[:, 1:].astype(float), expected, atol=1e-4)
        assert all(re.fullmatch(r"-?\d+\.\d{4,}", cell) for cell in rows[-1][1:])
    header = [cell.text for cell in browser.all("#activations th")]
    assert len(header) == len(rows[0])
    assert header[:2] == ["symbol", "hidden 0"]
    assert header[-1] == f"P({symbols[-1]})"


def test_a_network_that_counts(browser, tmp_path):
    browser.open(tmp_path / "page.html", page(EXAMPLES["counter"].data), word="AABBBB")
    assert "Most probable next symbol: A." in browser.text("#status")
    assert browser.text(".bar.top b") == "A"
    margins = browser.js("return read.slice(1).map((r) => r.margin > 0)")
    # After an A the next run's symbol is B: it is always more probable, because the context is 1.
    assert margins == [True, True, False, False, False, True]
    browser.press(Keys.ARROW_LEFT)
    assert "Symbol 5 of 6. Most probable next symbol: B." in browser.text("#status")
    # The context is 1/2: the logit of B is 20 (tanh 1/2 - tanh 1/4).
    assert [bar.text.split()[1] for bar in browser.all(".bar")] == ["0.013", "0.987"]
    assert [bar.text.split()[2:] for bar in browser.all(".bar")] == [[], ["allowed"]]


def test_keys_and_buttons_move_through_the_word(srn):
    srn.type("AABBBB")
    assert srn.position == 6
    srn.press(Keys.HOME)
    assert srn.position == 0
    assert not srn.one("#back").is_enabled()
    assert "Nothing read yet" in srn.text("#status")
    srn.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    assert srn.position == 2
    srn.one("#step").click()
    assert srn.position == 3
    srn.one("#back").click()
    srn.one("#back").click()
    assert srn.position == 1
    srn.press(Keys.END)
    assert srn.position == 6
    assert not srn.one("#step").is_enabled()
    srn.all("#tape button")[3].click()
    assert srn.position == 4
    # Within the field, keys edit the word.
    srn.one("#word").send_keys(Keys.HOME, Keys.DELETE)
    assert len(srn.rows()) == 5


def test_playing(srn):
    srn.type("AABBBB")
    srn.js("document.querySelector('#speed').value = 20")
    srn.press(Keys.HOME, Keys.SPACE)
    assert srn.text("#play") == "pause"
    srn.wait(lambda: srn.position > 1)
    srn.press(Keys.SPACE)
    paused = srn.position
    time.sleep(0.2)
    assert (srn.position, srn.text("#play")) == (paused, "play")
    srn.one("#play").click()
    srn.wait(lambda: srn.text("#play") == "play")
    assert srn.position == 6
    # At the end, it begins again.
    srn.one("#play").click()
    assert srn.position < 6
    srn.wait(lambda: srn.text("#play") == "play")


def test_foreign_letters_are_left_out(srn):
    srn.type("a1Bxb")
    assert "".join(row[0] for row in srn.rows()) == "ABB"
    srn.type("AX")
    assert "no such input: X" in srn.text("#note")
    assert srn.one("#word").get_property("value") == "A"
    srn.one("#word").send_keys("B")
    assert srn.text("#note") == ""


def test_an_empty_word(srn):
    srn.type("")
    assert srn.rows() == []
    assert "empty" in srn.text("#status")
    assert not any(srn.one(f"#{key}").is_enabled() for key in ("back", "play", "step"))
    srn.press(Keys.SPACE, Keys.ARROW_RIGHT, Keys.ARROW_LEFT, Keys.HOME, Keys.END)
    srn.all("#symbols button")[1].click()
    srn.all("#symbols button")[0].click()
    assert [row[0] for row in srn.rows()] == ["B", "A"]


def test_three_hundred_symbols(lstm):
    word = "A" * 50 + "B" * 100 + "C" * 150
    # Pasted, because typing takes 15 s.
    lstm.type("")
    lstm.js("document.execCommand('insertText', false, arguments[0])", word)
    assert len(lstm.rows()) == 300
    start = time.monotonic()
    for _ in range(20):
        lstm.press(Keys.ARROW_LEFT)
    assert time.monotonic() - start < 10
    assert lstm.position == 280
    # The current symbol stays in sight.
    tape, cell = lstm.one("#tape").rect, lstm.one("#tape .now").rect
    assert tape["y"] <= cell["y"] <= tape["y"] + tape["height"] - cell["height"]
    # A browser refuses, with a message, to change the address at every one of many keys.
    lstm.js("for (let n = 0; n < 300; n++) setWord('ABC'.repeat(n % 3))")


def test_a_symbol_that_is_not_allowed_is_marked(srn):
    srn.type("ABA")
    assert [cell.text for cell in srn.all("#tape .outside")] == ["A"]
    assert "Symbol 3, A, is not allowed by the language; the network reads on." in srn.text("#note")
    srn.press(Keys.ARROW_LEFT)
    assert srn.text("#note") == ""
    assert [bar.text.endswith("allowed") for bar in srn.all(".bar")] == [False, True]
    srn.type("ABAB")
    assert len(srn.rows()) == 4
    assert srn.all(".state.lit") == []
    assert "no state for this word" in srn.text("#machine h2")


def test_nothing_is_predicted_after_the_end_of_a_word(browser, tmp_path):
    browser.open(tmp_path / "page.html", page(EXAMPLES["reber"].data))
    # At first one symbol before the end.
    assert browser.position == len(REBER[0]) - 1
    browser.press(Keys.END)
    assert browser.text("#status") == "The word is over."
    assert browser.all(".bar.top") == []
    assert not browser.one("#countdown").is_displayed()
    assert browser.text(".state.lit") == "end"


def test_the_address_has_the_word(srn):
    srn.type("AAB")
    srn.wait(lambda: srn.driver.current_url.endswith("#AAB"))
    srn.js("location.hash = 'ABB'")
    srn.wait(lambda: "".join(row[0] for row in srn.rows()) == "ABB")
    time.sleep(0.5)
    srn.driver.refresh()
    assert srn.one("#word").get_property("value") == "ABB"


def test_the_arrows_of_the_machine_are_buttons(srn):
    srn.type("A")
    assert srn.text(".state.lit") == "A"
    arrows = {arrow.text: arrow for arrow in srn.all(".arrow.out")}
    assert set(arrows) == {"A", "B"}
    arrows["A"].find_element("css selector", "text").click()
    assert "".join(row[0] for row in srn.rows()) == "AA"
    # By the keyboard; the focus goes to an arrow of the next state.
    srn.js("document.querySelector('.arrow.out[data-symbol=\"1\"]').focus()")
    ActionChains(srn.driver).send_keys(Keys.ENTER, Keys.SPACE, Keys.ENTER).perform()
    assert "".join(row[0] for row in srn.rows()) == "AABBB"
    # From the middle of a word, the rest is replaced.
    srn.press(Keys.HOME)
    srn.one(".arrow.out text").click()
    assert "".join(row[0] for row in srn.rows()) == "A"


@pytest.mark.parametrize("name", ["lstm", "srn"])
def test_dragging_changes_the_picture_and_keeps_the_dots(name, request):
    browser = request.getfixturevalue(name)
    before, dots = browser.picture(), browser.dots()
    assert dots > 3
    browser.drag("#space", 90, 30)
    after = browser.picture()
    assert (before != after).mean() > 0.005
    assert abs(browser.dots() - dots) <= 2
    ActionChains(browser.driver).double_click(browser.one("#space")).perform()
    np.testing.assert_array_equal(browser.picture(), before)
    origin = webdriver.common.actions.wheel_input.ScrollOrigin.from_element(browser.one("#space"))
    ActionChains(browser.driver).scroll_from_origin(origin, 0, -200).perform()
    browser.wait(lambda: browser.js("return view.zoom > 1.2"))
    assert (browser.picture() != before).mean() > 0.005
    assert browser.js("return scrollY") == 0


def test_keys_turn_the_picture(lstm):
    before = lstm.picture()
    lstm.js("document.querySelector('#space').focus()")
    chain = ActionChains(lstm.driver).key_down(Keys.SHIFT).send_keys(Keys.ARROW_LEFT, Keys.ARROW_UP)
    chain.key_up(Keys.SHIFT).perform()
    assert (lstm.picture() != before).any()
    assert lstm.position == len(lstm.rows())


def test_touch_turns_and_pinches(browser, tmp_path):
    browser.open(tmp_path / "page.html", page(EXAMPLES["lstm"].data), width=400)
    browser.js("document.querySelector('#space').scrollIntoView({block: 'center'})")
    box = browser.js("return document.querySelector('#space').getBoundingClientRect()")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def touch(kind: str, *points: tuple[float, float]) -> None:
        touches = [dict(x=x + a, y=y + b, id=n) for n, (a, b) in enumerate(points)]
        command = dict(type=f"touch{kind}", touchPoints=touches)
        browser.driver.execute_cdp_cmd("Input.dispatchTouchEvent", command)

    yaw, dots = browser.js("return view.yaw"), browser.dots()
    touch("Start", (0, 0))
    touch("Move", (60, 0))
    touch("End")
    browser.wait(lambda: browser.js("return view.yaw") > yaw + 0.1)
    touch("Start", (-30, 0), (30, 0))
    touch("Move", (-45, 0), (45, 0))
    touch("End")
    browser.wait(lambda: browser.js("return view.zoom") == pytest.approx(1.5, abs=0.05))
    assert browser.dots() >= dots - 3


def test_choices(browser, tmp_path):
    browser.open(tmp_path / "page.html", page(EXAMPLES["large"].data))
    pictures = [browser.picture()]
    for key, value in (("axis0", "4"), ("kind", "context"), ("colour", "machine")):
        browser.one(f"#{key} option[value='{value}']").click()
        pictures.append(browser.picture())
        assert (pictures[-1] != pictures[-2]).mean() > 0.003
    assert browser.js("return axes.map((axis) => axis.name)") == [
        "context unit 4",
        "context PC 2",
        "context PC 3",
    ]


def test_decision_boundary(browser, tmp_path):
    net = random_net(SRN, 2, 2)
    net.out_bias.data.zero_()
    browser.open(tmp_path / "page.html", page(example(net, "AB", ANB2N).data))
    browser.press(Keys.HOME)
    pixels, colours = browser.picture(), {}
    low, high = np.array(browser.js("return axes.map((axis) => axis.ends)")).T
    script = "const place = projection(space.clientWidth, space.clientHeight);"
    points = np.random.default_rng(0).uniform(-0.98, 0.98, (200, 2))
    places = browser.js(script + "return arguments[0].map(place)", points.tolist())
    for point, (x, y, _) in zip(points, places, strict=True):
        hidden = low + (high - low) * (point + 1) / 2
        predicted = int((hidden @ net.V.detach().numpy()).argmax())
        colours.setdefault(predicted, []).append(tuple(pixels[int(y), int(x)]))
    # Nearly all have one colour; the others are on dots and lines.
    most = [max(set(same), key=same.count) for same in (colours[0], colours[1])]
    # A's is bluish, B's reddish.
    assert most[0][0] < most[0][2]
    assert most[1][0] > most[1][2]
    for same, colour in zip((colours[0], colours[1]), most, strict=True):
        assert same.count(colour) > 0.8 * len(same)


def test_saved_picture(browser, tmp_path):
    browser.open(tmp_path / "page.html", page(EXAMPLES["lstm"].data), dark=True)
    folder = dict(behavior="allow", downloadPath=str(tmp_path))
    browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", folder)
    browser.drag("#space", 50, 10)
    dark = browser.picture()
    browser.one("#save").click()
    saved = tmp_path / "lstm3_state_space.png"
    browser.wait(saved.exists)
    picture = np.array(Image.open(saved).convert("RGB"))
    # Three times as fine, on white for a report; the page stays dark.
    assert picture.shape == (3 * len(dark), 3 * len(dark[0]), 3)
    assert picture[5, 5].tolist() == [255, 255, 255]
    np.testing.assert_array_equal(browser.picture(), dark)


def test_the_chart_is_a_slider(srn):
    srn.type("AABBBB")
    srn.one("#hidden").click()
    assert srn.position == 3
    srn.drag("#hidden", 150, 0)
    assert srn.position > 3


def test_one_hidden_unit_and_a_diverged_network(browser, tmp_path):
    one = example(random_net(SRN, 2, 1), "AB", ANB2N)
    browser.open(tmp_path / "one.html", page(one.data | {"machine": None, "language": None}))
    assert not browser.one("#machine").is_displayed()
    assert browser.dots() > 1
    weights = dict(EXAMPLES["srn"].data["weights"])
    weights["out_bias"] = np.full(2, np.nan)
    browser.open(tmp_path / "nan.html", page(EXAMPLES["srn"].data | {"weights": weights}))
    assert browser.rows()[0][-1] == "NaN"


def test_within_another_page(browser, tmp_path):
    # As in the preview of an editor: the page has no address of its own.
    text = html.escape(page(EXAMPLES["srn"].data))
    inside = f'<link rel="icon" href="data:,"><iframe srcdoc="{text}" width="900"></iframe>'
    browser.open(tmp_path / "outer.html", inside)
    browser.driver.switch_to.frame(0)
    browser.type("AAB")
    time.sleep(0.5)
    assert len(browser.rows()) == 3
    browser.driver.switch_to.default_content()


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("name", EXAMPLES)
def test_screens(name, width, browser, tmp_path):
    for dark in (False, True):
        browser.open(tmp_path / "page.html", page(EXAMPLES[name].data), width=width, dark=dark)
        assert browser.js("return document.documentElement.scrollWidth <= innerWidth")
        assert (browser.picture()[2, 2].mean() < 60) == dark
        browser.driver.save_screenshot(str(tmp_path / f"{name}_{width}_{dark}.png"))
        # No text is cut off, and everything that can be pressed is large enough to hit.
        for item in browser.all("button, select, input"):
            if item.is_displayed():
                assert item.rect["width"] >= 20
                assert item.rect["x"] + item.rect["width"] <= width
    labelled = (
        "return [...document.querySelectorAll('input, select, button, canvas#space, .arrow')]"
    )
    names = browser.js(
        labelled + ".map((x) => x.ariaLabel || x.labels?.[0]?.innerText || x.innerText)"
    )
    assert all(names)
