"""The dashboard, clicked through in a headless Chromium.

    apt-get install chromium chromium-driver
    pip install selenium
    python examples/dashboard/click.py target/debug/examples/dashboard [--screenshot picture.png]

Starts the dashboard, waits for its charts, lets the provider fail and recover by the buttons, and fails where the page doesn't show it.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars --no-proxy-server"""


class Page:
    def __init__(self, url, profile):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or sys.exit("there is no chromium")
        for flag in [*FLAGS.split(), f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = shutil.which("chromedriver") or sys.exit("there is no chromedriver")
        self.driver = webdriver.Chrome(options=options, service=Service(driver))
        size = {"width": 1240, "height": 796, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.get(url)

    def text(self, selector):
        return " | ".join(found.text for found in self.driver.find_elements(By.CSS_SELECTOR, selector))

    def click(self, name):
        print(f"click: {name}")
        self.driver.find_element(By.XPATH, f"//button[text()='{name}']").click()

    def wait(self, what, selector, pattern, seconds=30):
        begun = time.monotonic()
        while not re.search(pattern, self.text(selector)):
            if time.monotonic() - begun > seconds:
                sys.exit(f"{what}: {selector} is still {self.text(selector)!r}")
            time.sleep(0.2)
        print(f"{what}: {self.text(selector)!r}")

    def is_drawn(self, canvas):
        """Whether a chart has more than one colour in it."""
        script = """const c = arguments[0], d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
            return new Set(new Uint32Array(d.buffer)).size"""
        return self.driver.execute_script(script, canvas) > 2


def click_through(page):
    page.wait("charts", "h2 .name", "gpt-4.1-mini.*Line.*Verdicts.*Circuits.*Cost")
    page.wait("requests are served", "#served", r"[1-9]")
    page.wait("limits are used", ".limit", r"[1-9]\d* used")
    page.click("More load")
    page.wait("some wait in line", "#waiting", r"[1-9]")
    page.wait("money is spent", "#spent", r"\$0\.0\d*[1-9]")
    page.wait("all circuits are closed", ".state", r"^closed \| closed$")
    page.click("First model down")
    page.wait("the first circuit opens", ".quota:nth-of-type(7) .state", "^open$")
    page.click("Recover")
    page.wait("it closes again", ".state", r"^closed \| closed$")
    page.click("Outage")
    page.wait("both open", ".state", r"^open \| open$")
    page.click("Recover")
    page.wait("both close again", ".state", r"^closed \| closed$")
    page.click("Less load")
    for canvas in page.driver.find_elements(By.TAG_NAME, "canvas"):
        assert page.is_drawn(canvas), "a chart is empty"
    wrong = [entry for entry in page.driver.get_log("browser") if entry["level"] == "SEVERE" and "favicon" not in entry["message"]]
    assert not wrong, wrong


def main(program, screenshot=None):
    command = [program, "--listen", "127.0.0.1:0", "--seconds", "150"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running, tempfile.TemporaryDirectory() as profile:
        page = None
        try:
            url = running.stdout.readline().split()[-1]
            page = Page(url, profile)
            click_through(page)
            if screenshot:
                time.sleep(10)
                page.driver.execute_script("document.activeElement.blur()")
                page.driver.save_screenshot(screenshot)
            print("the dashboard: clicked through")
        finally:
            if page:
                page.driver.quit()
            running.terminate()


if __name__ == "__main__":
    main(sys.argv[1], *(sys.argv[3:] if sys.argv[2:3] == ["--screenshot"] else []))
