"""Makes the pictures of the documentation from real output of the bundled flight: `just docs`.

    uv run --group dev python docs/make_pictures.py

Surveys the example into a temporary folder, opens the report in headless Chromium (or Chrome) and writes
docs/images/survey-example.png; the detector's own drawings of two frames become docs/images/frames-example.png.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from nightherd.datasets.bundled import example_flight
from nightherd.workflows.detect import run_detect
from nightherd.workflows.survey import run_survey

IMAGES = Path(__file__).parent / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTH, HEIGHT = 1100, 5200
SHEET = 2
"""Which ruled line of the page, counted from 0, stands above the contact sheet."""


def screenshot(page: Path, picture: Path, profile: Path) -> None:
    """Renders a page in a headless browser."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        sys.exit(f"none of {', '.join(BROWSERS)} is installed; the pictures need one")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    subprocess.run(
        [
            browser,
            *flags,
            *quiet,
            f"--user-data-dir={profile}",
            f"--screenshot={picture}",
            f"--window-size={WIDTH},{HEIGHT}",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
    )


def ruled_lines(page: Image.Image) -> list[int]:
    """Rows where a thin line crosses the page: one grey, and 24 white rows above it, 12 below."""
    grey = np.asarray(page.convert("L"), np.int16)[:, 100:-100]
    one_tone = (grey == grey[:, :1]).all(axis=1)
    white = (grey == 255).all(axis=1)
    lines = np.flatnonzero(one_tone & ~white)
    return [int(row) for row in lines if white[row - 24 : row].all() and white[row + 1 : row + 13].all()]


def side_by_side(report: Image.Image) -> Image.Image:
    """The head, map and table of the report beside its contact sheet."""
    sheet = ruled_lines(report)[SHEET]
    picture = Image.new("RGB", (2 * report.width, sheet), "white")
    picture.paste(report.crop((0, 0, report.width, sheet)), (0, 0))
    picture.paste(report.crop((0, sheet, report.width, 2 * sheet)), (report.width, 0))
    return picture


def main() -> None:
    """Writes both pictures."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run_survey("example", out=folder / "survey", command="nightherd survey example")
        screenshot(folder / "survey" / "report.html", folder / "report.png", folder / "profile")
        report = Image.open(folder / "report.png").convert("RGB")
        picture = side_by_side(report)
        picture.resize((picture.width * 2 // 3, picture.height * 2 // 3), Image.Resampling.LANCZOS).quantize(128).save(
            IMAGES / "survey-example.png", optimize=True
        )
        frames = sorted(example_flight().glob("*_T.JPG"))
        run_detect([frames[9], frames[10]], out=folder / "detections.json", draw=folder / "drawn")
        drawn = [Image.open(path).convert("RGB") for path in sorted((folder / "drawn").rglob("*.jpg"))]
        both = Image.new("RGB", (sum(p.width for p in drawn), max(p.height for p in drawn)))
        left = 0
        for one in drawn:
            both.paste(one, (left, 0))
            left += one.width
        both.thumbnail((1400, 1400))
        both.save(IMAGES / "frames-example.png", optimize=True)


if __name__ == "__main__":
    main()
