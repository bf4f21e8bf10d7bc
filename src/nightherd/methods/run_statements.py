"""Statements that every kind of run shares: the machine, the software, where the code lies, how a model is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nightherd.methods.record import Statement, not_recorded, statement
from nightherd.methods.wording import count

EVALUATION, MACHINE, AVAILABILITY, DEPLOYMENT = "Evaluation", "Hardware and software", "Availability", "Deployment"
Facts = Mapping[str, Any]


def hardware_statement(hardware: Facts, begins: str) -> Statement:
    """The machine of a run: processor, cores, memory, accelerator.

    Args:
        hardware: `cpu`, `cores`, `memory_gb`, `system`, `device`, as `nightherd.workflows.machine` gathers them.
        begins: how the sentence begins.
    """
    if not hardware:
        return not_recorded(MACHINE, "Hardware", "the machine.", ("hardware",))
    cpu = hardware.get("cpu") or "a processor whose name the system does not tell"
    cores = hardware.get("cores")
    memory = hardware.get("memory_gb")
    device = hardware.get("device")
    text = (
        f"{begins} {cpu}"
        + (f", {count(cores, 'core')} usable" if cores else "")
        + (f", {memory:g} GB of memory" if memory else ", memory not recorded")
        + f", {hardware.get('system', 'system not recorded')}; "
        + (f"GPU: {device}." if device else "no GPU was used (CPU only).")
    )
    return statement(MACHINE, "Hardware", text, ("hardware",), values=dict(hardware))


def software_statement(software: Facts, framework: str) -> Statement:
    """The versions of what computed the results; the framework is named first."""
    if not software:
        return not_recorded(MACHINE, "Software", "the versions of the software.", ("framework",))
    listed = ", ".join(f"{name} {version}" for name, version in software.items())
    return statement(
        MACHINE, "Software", f"Built on {framework}. Versions: {listed}.", ("framework",), values=dict(software)
    )


def deployment_statements() -> list[Statement]:
    """How a trained detector is put to use."""
    return [
        statement(
            DEPLOYMENT,
            "Deployment",
            "The weights are kept as safetensors; 'nightherd export' serialises them to one ONNX file with 16-bit "
            "weights, which 'nightherd survey' and 'nightherd detect' run. Whether and where this model is in use is "
            "not known to the run.",
            ("deployment",),
        ),
        _platform(),
    ]


def _platform() -> Statement:
    return statement(
        DEPLOYMENT,
        "Platform",
        "ONNX Runtime on the CPU of an ordinary computer under Linux, macOS or Windows, offline; no cloud platform "
        "(such as AWS, Azure or Google Cloud) is used.",
        ("deployment-platform",),
    )


def use_statements(model: str) -> list[Statement]:
    """How a model file ran."""
    return [
        statement(
            DEPLOYMENT,
            "Deployment",
            f"The model {model} was run from one serialised ONNX file by Nightherd's command line.",
            ("deployment",),
        ),
        _platform(),
    ]


def code_statements(code: Facts, version: str) -> list[Statement]:
    """Where the code lies: the project's own addresses, out of the package's metadata."""
    link = code.get("repository")
    if not link:
        return [not_recorded(AVAILABILITY, "Code repository", "the package names no address.", ("code-repository",))]
    return [
        statement(
            AVAILABILITY,
            "Code repository",
            f"All computation is Nightherd {version}, open source under {code.get('licence') or 'its licence'}, "
            f"available on {_host(link)}. Code that a user added around it is not known to the run.",
            ("code-repository",),
        ),
        statement(
            AVAILABILITY,
            "Code repository link",
            f"Nightherd {version}: {link}",
            ("code-link",),
            values={"links": [link]},
        ),
    ]


def _host(link: str) -> str:
    host = link.split("//", 1)[-1].split("/", 1)[0]
    return {"github.com": "GitHub", "gitlab.com": "GitLab"}.get(host, host)
