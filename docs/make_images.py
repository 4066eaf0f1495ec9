"""Draw the pictures of the documentation: scenes of shapes, and a results folder's board.

    python docs/make_images.py RESULTS [DATASET]

The board is a screenshot of the page in headless Chromium.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from hiereval import reading
from hiereval.leaderboard import board, page
from hiereval.toy import drawing
from hiereval.toy.drawing import SIDE
from hiereval.toy.shapes import split_scenes

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--disable-dev-shm-usage",
)  # fmt: skip
WIDTH = 1280
IMAGES = Path(__file__).parent / "images"


def draw(results: Path, dataset: str, picture: Path) -> None:
    """Write the board of `results` on a dataset as a PNG, half as fine again as it is shown."""
    from selenium import webdriver

    there = [r for r in reading.read_all([results]) if dataset in ("", r.dataset.name)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "board.html")
        file.write_text(page.written(board.build(there, every_metric=True)), "utf-8")
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
            chrome.save_screenshot(str(picture))


def draw_scenes(picture: Path, columns: int = 8, rows: int = 3) -> None:
    """Write the first scenes of the test split as a PNG, twice as large as they are."""
    from PIL import Image

    side = 2 * SIDE
    sheet = Image.new("RGB", (columns * (side + 4), rows * (side + 4)), "white")
    for i, scene in enumerate(split_scenes("test")[: columns * rows]):
        at = (i % columns * (side + 4) + 2, i // columns * (side + 4) + 2)
        sheet.paste(drawing.draw(scene).resize((side, side), Image.Resampling.NEAREST), at)
    sheet.quantize(64).save(picture, optimize=True)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    draw_scenes(IMAGES / "shapes.png")
    draw(Path(sys.argv[1]), "".join(sys.argv[2:]), IMAGES / "board.png")
