"""Study reports that the tests make themselves, as PDF."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

REPORT: dict[str, str] = {
    "Abstract": "We trained a convolutional neural network to detect roe deer in thermal images taken by a drone over "
    "farmland at dawn. The purpose of the model is the detection and counting of deer before mowing.",
    "1. Study area and data collection": "Raw data were collected with a DJI Mavic 3 Thermal during 14 flights in May. "
    "The surveys yielded 3,120 thermal images in JPEG format. Two observers annotated all deer with bounding boxes "
    "using the tool CVAT.",
    "2. Data preparation": "Images were resized to 640 pixels and normalised by the mean and standard deviation. The "
    "data set was randomly split by flight into training (70 %), validation (15 %) and test (15 %) sets. For data "
    "augmentation we applied horizontal flipping, rotation and random scaling.",
    "3. Model and training": "We used a Faster R-CNN with a ResNet-50 backbone, implemented in PyTorch 2.1. Training "
    "ran with the Adam optimizer, a learning rate of 0.0001, a batch size of 8 and a weight decay of 0.0005 for at "
    "most 80 epochs. Training was stopped when the validation loss had not fallen for ten epochs. Models were trained "
    "on one NVIDIA RTX 3090 GPU with 24 GB memory. Dropout of 0.3 was used to prevent overfitting.",
    "4. Evaluation": "We report precision, recall, F1 score and mean average precision on the test set. The model "
    "reached a precision of 0.91 and a recall of 0.84. Duplicate boxes were removed by non-maximum suppression.",
    "Data availability": "The images and annotations are available at Zenodo, https://doi.org/10.5281/zenodo.1234567. "
    "The source code is available on GitHub at https://github.com/example/roe-deer.",
}
"""A study that says most, but not all, of what the 28 questions ask: nothing on seeds, nothing on deployment."""

ESSAY: dict[str, str] = {
    "Introduction": "Mowing kills fawns every spring. Farmers, hunters and volunteers walk the meadows at first light. "
    "Their effort is large and its success is hard to know. Hedges and small woods give cover to hares and partridges.",
    "History": "In earlier times meadows were cut by hand and late. Later the mower came, and with it the need to look "
    "for what lies hidden in the grass. Old hunters tell how the dogs were led along the edges of the fields.",
}
"""A text that answers none of the questions."""


def write_paper(path: Path, sections: Mapping[str, str] = REPORT) -> Path:
    """Writes a PDF of headed paragraphs; needs reportlab."""
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import Paragraph, SimpleDocTemplate

    styles = getSampleStyleSheet()
    story = []
    for heading, text in sections.items():
        story += [Paragraph(heading, styles["Heading2"]), Paragraph(text, styles["BodyText"])]
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleDocTemplate(str(path), pagesize=A4, title="A study").build(story)
    return path
