"""What a model file is allowed to be: bytes in, its checked description out, before anything loads it.

A model file is ONNX, a protocol buffer, and this module walks its wire format itself: a plain install has no ONNX
package, and ONNX Runtime would follow a reference to weights in other files before it can be asked not to. Field
numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from nightherd.errors import ModelError
from nightherd.frames.normalise import NORMALISATION

FORMAT = 1
METADATA_KEY = "nightherd"
MAX_BYTES = 500_000_000
MAX_FIELDS = 2_000_000
MAX_DEPTH = 30

EXPORT = "make one with 'nightherd export RUN --to onnx'"

Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f\u202a-\u202e]+$")]
Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Slope = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Offset = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=32, le=8192)]


class ModelInfo(BaseModel):
    """What a model file says about itself.

    Attributes:
        format: version of the contract between a model file and Nightherd.
        name: for people and records.
        preset: the architecture it was built from.
        classes: names in the order of its labels.
        thresholds: class → score from which a detection counts.
        threshold: the same for a class that `thresholds` leaves out.
        calibration: class → slope and offset on the logit of the network's score that make it a probability;
            thresholds are of scores after it.
        stride: height and width of the input are multiples of it.
        normalisation: the rule that maps pixels to its input.
        tile: (width, height) of the frames it was trained for.
        max_detections: at most so many come out for one input.
        version: of the package that exported it.
    """

    model_config = ConfigDict(frozen=True)

    format: Literal[1]
    name: Name
    preset: Name
    classes: tuple[Name, ...] = Field(min_length=1, max_length=1000)
    thresholds: dict[str, Score] = Field(default_factory=dict)
    threshold: Score
    calibration: dict[str, tuple[Slope, Offset]] = Field(default_factory=dict)
    stride: int = Field(ge=1, le=256)
    normalisation: str
    tile: tuple[Side, Side]
    max_detections: int = Field(ge=1, le=100_000)
    version: str = Field(max_length=100)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> ModelInfo:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class is named twice")
        if unknown := set(self.thresholds) - set(self.classes):
            raise ValueError(f"a threshold for an unknown class {min(unknown)!r}")
        if unknown := set(self.calibration) - set(self.classes):
            raise ValueError(f"a calibration for an unknown class {min(unknown)!r}")
        return self

    def threshold_of(self, name: str) -> float:
        """The score from which a detection of this class counts."""
        return self.thresholds.get(name, self.threshold)


class _Damaged(Exception):
    """The bytes are not a protocol buffer."""


def check_model_file(data: bytes) -> ModelInfo:
    """Checks the bytes of a model file and returns what it says about itself; loads and executes nothing.

    Refused: pickles, safetensors checkpoints, anything that is not ONNX, ONNX that Nightherd did not export, another
    version or normalisation, weights in other files, operators that ONNX does not define, loops.

    Raises:
        ModelError: what the file is, and how to get one that is right; without the path.
    """
    if problem := _other_kind(data[:64]):
        raise ModelError(problem)
    try:
        metadata = _walk_model(memoryview(data))
    except _Damaged as error:
        raise ModelError(f"not an ONNX file, or a truncated one; copy it again or {EXPORT}") from error
    if METADATA_KEY not in metadata:
        raise ModelError(f"an ONNX file, but not one of Nightherd's; {EXPORT}")
    return _read_info(metadata[METADATA_KEY])


def _other_kind(head: bytes) -> str | None:
    """Names the well-known kinds of file that are not ONNX."""
    if not head:
        return f"is empty; {EXPORT}"
    if head[:4] == b"PK\x03\x04" or (head[0] == 0x80 and head[1:2] in b"\x02\x03\x04\x05" and len(head) > 1):
        return "pickles are refused, they can run any program; export with nightherd export"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < MAX_BYTES:
        return "is a safetensors checkpoint, not a model file; export it: nightherd export RUN --to onnx"
    if head[4:8] == b"ORTM":
        return f"is a file in ONNX Runtime's own format, not ONNX; {EXPORT}"
    return None


def _read_info(text: bytes) -> ModelInfo:
    try:
        info = ModelInfo.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"] == ("format",) and first["type"] != "missing":
            raise ModelError(
                f"is of model format {first['input']!r}, this Nightherd reads {FORMAT}; {EXPORT}, of the same version"
            ) from error
        where = ".".join(str(part) for part in first["loc"]) or "nightherd"
        raise ModelError(f"its description is wrong at '{where}': {first['msg']}; {EXPORT}") from error
    if info.normalisation != NORMALISATION:
        raise ModelError(
            f"was made for the normalisation {info.normalisation!r}, this Nightherd has {NORMALISATION!r}; {EXPORT}"
        )
    return info


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise _Damaged
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _Damaged


class _Walker:
    """Walks messages of a protocol buffer, with one budget of fields for the whole file."""

    def __init__(self) -> None:
        self.left = MAX_FIELDS

    def fields(self, data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """Yields (field number, value): an int of a number field, the bytes of any other."""
        at = 0
        while at < len(data):
            self.left -= 1
            if self.left < 0:
                raise ModelError(f"has more than {MAX_FIELDS:,} parts, no model of Nightherd's does; {EXPORT}")
            key, at = _varint(data, at)
            number, kind = key >> 3, key & 7
            if number == 0:
                raise _Damaged
            if kind == 0:
                value, at = _varint(data, at)
                yield number, value
                continue
            if kind == 2:
                size, at = _varint(data, at)
            elif kind in (1, 5):
                size = 8 if kind == 1 else 4
            else:
                raise _Damaged
            if at + size > len(data):
                raise _Damaged
            yield number, data[at : at + size]
            at += size

    def messages(self, data: memoryview) -> Iterator[tuple[int, memoryview]]:
        """The fields that hold bytes or messages."""
        for number, value in self.fields(data):
            if isinstance(value, memoryview):
                yield number, value

    def graph(self, data: memoryview, depth: int = 0) -> None:
        if depth > MAX_DEPTH:
            raise ModelError(f"nests more than {MAX_DEPTH} graphs, no model of Nightherd's does; {EXPORT}")
        for number, value in self.messages(data):
            if number == 1:
                self.node(value, depth)
            elif number == 5:
                self.tensor(value)
            elif number == 15:
                self.sparse_tensor(value)

    def node(self, data: memoryview, depth: int) -> None:
        for number, value in self.messages(data):
            if number == 4 and bytes(value) in (b"Loop", b"Scan"):
                raise ModelError(f"holds a loop, which need not end; {EXPORT}")
            if number == 7 and bytes(value) not in (b"", b"ai.onnx"):
                domain = bytes(value[:40]).decode("utf-8", "replace")
                raise ModelError(f"needs operators of {domain!r} that ONNX does not define; {EXPORT}")
            if number != 5:
                continue
            for part, inner in self.messages(value):
                if part in (5, 10):
                    self.tensor(inner)
                elif part in (6, 11):
                    self.graph(inner, depth + 1)
                elif part in (22, 23):
                    self.sparse_tensor(inner)

    def sparse_tensor(self, data: memoryview) -> None:
        for number, value in self.messages(data):
            if number in (1, 2):
                self.tensor(value)

    def tensor(self, data: memoryview) -> None:
        for number, value in self.fields(data):
            if number == 13 or (number == 14 and value != 0):
                raise ModelError(f"keeps its weights in other files; they must be in the one file: {EXPORT}")


def _walk_model(data: memoryview) -> dict[str, bytes]:
    """Checks a ModelProto and returns its metadata."""
    walker = _Walker()
    metadata: dict[str, bytes] = {}
    has_version = has_graph = False
    for number, value in walker.fields(data):
        if number == 1:
            has_version = isinstance(value, int)
        if not isinstance(value, memoryview):
            continue
        if number == 7:
            has_graph = True
            walker.graph(value)
        elif number == 14:
            entry = {part: bytes(text) for part, text in walker.messages(value)}
            metadata[entry.get(1, b"").decode("utf-8", "replace")] = entry.get(2, b"")
        elif number in (20, 25):
            raise ModelError(f"holds functions or training steps besides its graph; {EXPORT}")
    if not (has_version and has_graph):
        raise _Damaged
    return metadata
