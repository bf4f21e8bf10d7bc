"""PDFs made for tests: papers in two columns with running heads, captions and tables; scans and locked files."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image
from reportlab.lib import pdfencrypt
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

LEFT = (
    "2. Methods",
    "The detector is a convolutional net-",
    "work with a ResNet50 backbone. It was",
    "trained with the AdamW optimizer for",
    "40 epochs on an NVIDIA A100 GPU. Over-",
    "\ufb01tting was limited by dropout (see",
    "Fig. 2 and Smith et al. 2020).",
)
RIGHT = (
    "The frames were split into 70% training,",
    "15% validation and 15% test data, e.g. by",
    "flight. We annotated every deer by hand.",
    "3. Results",
    "The mean average precision was 0.87 on",
    "the test set.",
)


def paper(path: Path, pages: int = 1, interleaved: bool = False) -> Path:
    """A paper of two columns with running head and foot; the words follow across columns, not across the page.

    `interleaved` writes the lines of both columns in turn, as some programs do.
    """
    canvas = Canvas(str(path), pagesize=A4)
    for number in range(1, pages + 1):
        canvas.setFont("Times-Roman", 8)
        canvas.drawString(50, 815, f"A. Author and B. Author / Journal of Herds {number + 80}")
        canvas.drawString(290, 25, str(number))
        columns = [(50, LEFT), (310, RIGHT)]
        places = [(x, row, line) for x, lines in columns for row, line in enumerate(lines)]
        for x, row, line in sorted(places, key=lambda place: place[1]) if interleaved else places:
            canvas.setFont("Times-Bold" if line[0].isdigit() and line[1] == "." else "Times-Roman", 10)
            canvas.drawString(x, 760 - 12 * row, line)
        canvas.setFont("Times-Roman", 8)
        canvas.drawString(50, 640, "Fig. 2. Frames of one night, 60 m above ground.")
        canvas.drawString(50, 610, "Table 1. Settings of the training.")
        for row, (name, value) in enumerate([("Learning rate", "0.0003"), ("Batch size", "16")]):
            canvas.drawString(50, 596 - 10 * row, name)
            canvas.drawString(190, 596 - 10 * row, value)
        canvas.showPage()
    canvas.save()
    return path


def text_pdf(path: Path, pages: list[list[str]], password: str | None = None) -> Path:
    """A PDF of one column with the lines of each page; with a password, encrypted."""
    lock = pdfencrypt.StandardEncryption(password, canPrint=0) if password else None
    canvas = Canvas(str(path), pagesize=A4, encrypt=lock)
    for lines in pages:
        for row, line in enumerate(lines):
            canvas.drawString(60, 780 - 13 * row, line)
        canvas.showPage()
    canvas.save()
    return path


def scan(path: Path) -> Path:
    """A PDF of two pages that hold a picture each and no text."""
    canvas = Canvas(str(path), pagesize=A4)
    held = io.BytesIO()
    Image.new("L", (60, 80), 128).save(held, "PNG")
    for _ in range(2):
        canvas.drawImage(ImageReader(io.BytesIO(held.getvalue())), 50, 50, 400, 700)
        canvas.showPage()
    canvas.save()
    return path
