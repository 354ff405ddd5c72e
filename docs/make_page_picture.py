"""Draw docs/img/page.jpg, the still picture of README.md: the LSTM's page in Chromium.

    python3 docs/make_page_picture.py

Needs docs/lstm.html (docs/make_report.py writes it), selenium, and Debian's chromium and
chromium-driver.
"""

import io
import time
from pathlib import Path

from PIL import Image
from selenium import webdriver

DOCS = Path(__file__).resolve().parent


def main() -> None:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for word in ("headless=new", "no-sandbox", "hide-scrollbars", "window-size=1280,1000"):
        options.add_argument(f"--{word}")
    browser = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    try:
        browser.get(f"{(DOCS / 'lstm.html').as_uri()}#AAABBBBBBCCCC")
        time.sleep(1)
        picture = Image.open(io.BytesIO(browser.get_screenshot_as_png()))
    finally:
        browser.quit()
    picture.convert("RGB").crop((0, 0, 1280, 852)).save(DOCS / "img" / "page.jpg", quality=88)


if __name__ == "__main__":
    main()
