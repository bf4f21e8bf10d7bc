"""The rules of the house, held by reading the imports: who may use torch, who may touch files, which way data flows."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "nightherd"
MODULES = sorted(SOURCE.rglob("*.py"))

TORCH = {"torch", "torchvision", "timm", "accelerate", "safetensors", "onnx"}
TORCH_FOLDERS = ("detector", "training")
TORCH_FILES = (
    "explanation/gradient.py",
    "explanation/odam.py",
    "explanation/eigencam.py",
    "explanation/activations.py",
    "explanation/randomisation.py",
)

FILE_FOLDERS = ("frames", "datasets", "report", "models", "workflows", "cli")
FILE_FILES = (
    "files.py",
    "training/checkpoints.py",
    "detector/export.py",
    "inference/runtimes.py",
    "inference/progress.py",
    "survey/store.py",
    "methods/passages.py",
    "methods/index.py",
    "methods/cache.py",
    "methods/bundled.py",
    "methods/questionnaire.py",
    "methods/record.py",
)
FILE_CALLS = {
    "open", "read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "unlink", "rename", "rmdir", "iterdir",
    "glob", "rglob", "exists", "is_file", "is_dir", "touch", "atomic_path", "write_json", "stat",
}  # fmt: skip

# What each folder may import from the others: data flows from left to right and nothing flows back.
MAY_IMPORT: dict[str, set[str]] = {
    "frames": set(),
    "datasets": {"frames"},
    "detector": {"frames"},
    "training": {"frames", "datasets", "detector", "evaluation"},
    "inference": {"frames", "models"},
    "evaluation": set(),
    "explanation": {"frames", "detector", "inference", "evaluation"},
    "survey": set(),
    "report": set(),
    "methods": set(),
    "models": set(),
}
SHARED = {"types", "errors", "files"}


def folder_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def imports(path: Path, at_import_time: bool = False) -> Iterator[str]:
    """Every module that a file imports; with `at_import_time`, only what runs when the file itself is imported."""

    def walk(node: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(node):
            if at_import_time and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test) and at_import_time:
                continue
            yield child
            yield from walk(child)

    for node in walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_detector_training_and_gradient_explanation_import_torch(path: Path) -> None:
    if folder_of(path) in TORCH_FOLDERS or name_of(path) in TORCH_FILES:
        return
    assert not {name.split(".")[0] for name in imports(path)} & TORCH


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_torch_folders_are_imported_lazily_from_the_command_line(path: Path) -> None:
    if folder_of(path) != "cli":
        return
    assert not [
        n for n in imports(path, at_import_time=True) if n.startswith(("nightherd.detector", "nightherd.training"))
    ]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_data_flows_one_way_through_the_folders(path: Path) -> None:
    folder = folder_of(path)
    if folder not in MAY_IMPORT:
        return
    used = {name.split(".")[1] for name in imports(path) if name.startswith("nightherd.") and name.count(".") >= 1}
    leaks = {name for name in used if (SOURCE / name).is_dir()} - MAY_IMPORT[folder] - {folder}
    assert not leaks, f"{name_of(path)} imports {sorted(leaks)}"
    assert "cli" not in used


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_are_touched_only_where_the_design_says(path: Path) -> None:
    if folder_of(path) in FILE_FOLDERS or name_of(path) in FILE_FILES:
        return
    calls = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            calls.add(name)
    assert not calls & FILE_CALLS, f"{name_of(path)} touches files: {sorted(calls & FILE_CALLS)}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_unpickles(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & {
        "pickle",
        "dill",
        "cloudpickle",
        "shelve",
        "marshal",
        "joblib",
    }
    source = path.read_text(encoding="utf-8")
    assert "allow_pickle=True" not in source
    assert "weights_only=False" not in source


def test_import_is_fast_and_silent() -> None:
    code = "import time; t = time.perf_counter(); import nightherd; print(time.perf_counter() - t)"
    seconds = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        seconds.append(float(done.stdout))
    assert min(seconds) < 0.3


def test_command_line_starts_without_heavy_imports() -> None:
    code = (
        "import sys; from nightherd.cli.app import build; build();"
        "print([m for m in ('torch', 'geopandas', 'onnxruntime', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""
