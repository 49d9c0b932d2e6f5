"""Who may import whom: a room imports rooms that stand before it, and no files form a circle.

A room is a folder of a package, or files of its first level that belong together.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: Package → its rooms; each may import those listed before it.
ROOMS = {
    "mdft": (
        "cli errors files gzsl isolation machine templates",
        "lif",
        "config",
        "distributed",
        "data",
        "model",
        "systems",
        "runs",
        "recognition",
        "inference",
        "training",
        "experiments",
        "train motion evaluate predict features gallery ablate compare seeds bits doctor",
    ),
    "events": (
        "records",
        "kernels",
        "response noise crossings sensor luma state cells",
        "device",
        "generator binning dense reference features",
        "video files",
        "preview",
        "job",
        "listing folder",
        "convert explain",
    ),
    "hardware": (
        "graph",
        "fixed_point reference_float",
        "lava",
        "backends compare manifest pair parity probe result simulation traces",
        "reporting",
        "conformance",
        "run report netx silicon",
    ),
    "export": (),
}
#: What a package may import of the others.
OTHERS = {
    # A graph of another tool becomes trainable: read, and held against the chip's integers.
    "mdft": ("events", "hardware.graph", "hardware.fixed_point"),
    "events": ("mdft.cli", "mdft.errors", "mdft.isolation"),
    "hardware": ("mdft.cli", "mdft.errors", "mdft.isolation", "mdft.templates"),
    "export": ("mdft", "events", "hardware"),
}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for package in ROOMS for path in (ROOT / package).rglob("*.py")}


def imported(module: str) -> set[str]:
    """Modules that one imports anywhere in it, but for type checking alone."""
    tree = ast.parse(MODULES[module].read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{module}: relative import"
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in full}
    return found - {module}


IMPORTS = {module: imported(module) for module in MODULES}


def room_of(module: str) -> int | None:
    """Place of a module's room in its package's table; None for the package's ``__init__``."""
    package, *rest = module.split(".")
    if not rest:
        return None
    places = [i for i, names in enumerate(ROOMS[package]) if rest[0] in names.split()]
    assert len(places) == 1 or not ROOMS[package], f"{module}: in no room, or in two"
    return places[0] if places else None


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_run_one_way(module: str):
    package, place = module.split(".")[0], room_of(module)
    for name in IMPORTS[module]:
        other = name.split(".")[0]
        if other == package and name in MODULES:
            above = room_of(name)
            fine = place is None or above is None or above <= place
            assert fine, f"{module} imports {name} of a later room"
        elif other in ROOMS:
            allowed = any(f"{name}.".startswith(f"{a}.") for a in OTHERS[package])
            assert allowed, f"{module} imports {name}"


def test_no_two_files_import_each_other():
    graph = {module: names & set(MODULES) for module, names in IMPORTS.items()}
    assert list(TopologicalSorter(graph).static_order())


@pytest.mark.subprocess
@pytest.mark.parametrize("package", ["events", pytest.param("hardware", marks=pytest.mark.lava)])
def test_importing_it_loads_no_torch(package: str):
    names = [
        module
        for module in MODULES
        if module.startswith(f"{package}.") and ".lava.processes" not in module
    ]
    code = f"import sys, mdft, {', '.join(sorted(names))}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("package", ["events", "hardware"])
def test_tonic_is_imported_by_tests_and_mdft_data_alone(package: str):
    users = {m for m, names in IMPORTS.items() if any(n.split(".")[0] == "tonic" for n in names)}
    assert not [module for module in users if module.startswith(package)]
