"""Draw the pictures of the documentation: the board of a results folder, in headless Chromium.

Usage: python docs/make_images.py RESULTS [PICTURE]
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from hiereval import records
from hiereval.leaderboard import board, page

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--disable-dev-shm-usage",
)  # fmt: skip
WIDTH = 1280


def draw(results: Path, picture: Path) -> None:
    """Write the board of `results` as a PNG, twice as fine as it is shown."""
    from selenium import webdriver

    there = records.read_all([results])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "board.html")
        file.write_text(page.written(board.build(there), there), "utf-8")
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for flag in (*FLAGS, f"--user-data-dir={folder}/profile"):
            options.add_argument(flag)
        service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
        with webdriver.Chrome(options=options, service=service) as chrome:
            size = {"width": WIDTH, "height": 900, "deviceScaleFactor": 1.5, "mobile": False}
            chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            chrome.get(file.as_uri())
            height = chrome.execute_script(
                "return document.querySelector('.board').getBoundingClientRect().bottom"
            )
            chrome.execute_cdp_cmd(
                "Emulation.setDeviceMetricsOverride", {**size, "height": int(height) + 8}
            )
            picture.parent.mkdir(parents=True, exist_ok=True)
            chrome.save_screenshot(str(picture))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    target = sys.argv[2] if len(sys.argv) == 3 else Path(__file__).parent / "images" / "board.png"
    draw(Path(sys.argv[1]), Path(target))
