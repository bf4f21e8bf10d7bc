"""The promises that files of the project make to each other: pins, commands, hosts."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_constraints_for_uv_and_pip_are_the_same_list() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == PROJECT["tool"]["uv"][
        "constraint-dependencies"
    ]


def test_every_dependency_is_pinned() -> None:
    pinned = {line.split("==")[0].lower() for line in PROJECT["tool"]["uv"]["constraint-dependencies"]}
    groups = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    groups.append(PROJECT["dependency-groups"]["dev"])
    wanted = {re.split(r"[\[<>=~ ]", line)[0].lower() for group in groups for line in group} - {"nightherd"}
    assert wanted <= pinned


def test_a_plain_run_installs_no_development_packages() -> None:
    assert PROJECT["tool"]["uv"]["default-groups"] == []
    assert not any(line.startswith(("torch", "timm", "accelerate")) for line in PROJECT["project"]["dependencies"])


def test_readme_opens_with_the_two_commands_that_ci_runs() -> None:
    first, second = "uv run nightherd survey example", "uv run --group dev pytest"
    assert first in README and second in README
    assert README.index(first) < README.index(second)
    assert second in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert "survey example" in (ROOT / ".ci" / "torch-free").read_text(encoding="utf-8")


def test_versions_agree() -> None:
    import nightherd

    assert PROJECT["project"]["version"] == nightherd.__version__
    assert f"version: {nightherd.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_pictures_and_pages_that_the_readme_links_are_there() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        if not link.startswith(("http://", "https://")):
            assert (ROOT / link).exists(), link
