"""Who may import whom: events and hardware stand alone, export is the only bridge."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = {"mdft", "events", "hardware", "export"}
ALLOWED = {"events": set(), "hardware": set(), "mdft": {"events"}, "export": OURS}
NEVER = {"events": {"torch", "tonic"}, "hardware": {"torch", "tonic"}}


def imported(path: Path) -> set[str]:
    """Top-level names of every absolute import, in functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("package", sorted(OURS))
def test_a_package_imports_only_what_it_may(package: str):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    forbidden = (OURS - ALLOWED[package] - {package}) | NEVER.get(package, set())
    found = {str(f.relative_to(ROOT)): imported(f) & forbidden for f in files}
    assert {name: names for name, names in found.items() if names} == {}


@pytest.mark.subprocess
@pytest.mark.parametrize("package", ["events", pytest.param("hardware", marks=pytest.mark.lava)])
def test_importing_it_loads_no_torch(package: str):
    modules = [
        ".".join(f.relative_to(ROOT).with_suffix("").parts)
        for f in sorted((ROOT / package).rglob("*.py"))
        if "lava_processes" not in f.parts and f.name not in ("__init__.py", "__main__.py")
    ]
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
