"""Every command on bad input, and what it answers.

Commands are found, not listed: a module of ours with a ``__main__`` guard that reads its arguments
with ``parse``.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("events", "export", "hardware", "mdft")
GUARD = 'if __name__ == "__main__":'
#: Named so that hardware.run can tell the pathway and looks at the content.
TEXT, EMPTY = "motion_audio.txt", "motion_audio"

#: What stands for an argument without a flag, by its name in --help; the others: no/such.
ARGUMENTS = {"OUT": "out.h5", "OUT.net": "out.net", "GRAPH": "no/motion_audio.nir"}
#: Values of flags that have to be given before anything else is looked at.
REQUIRED = {"--backend": "reference_int", "--format": "avca", "--pixel": "0 0"}
REQUIRED |= {"--classes": TEXT, "--out": "page.html"}
#: What one command alone can be given wrongly: (module, what is wrong, arguments).
SPECIAL = (
    ("mdft.train", "unknown recipe", "ufc"),
    ("mdft.train", "no data", "ucf"),
    ("mdft.train", "data without a recipe", "--data.root no/such"),
    ("mdft.train", "missing folder", "ucf --data.root no/such"),
    ("mdft.train", "number out of range", "debug --epochs 0"),
    ("mdft.train", "unknown device", "debug --device gpu"),
    ("mdft.train", "flags that need others", "debug --stage 2"),
    ("mdft.train", "a file as folder", f"debug --out {TEXT}"),
    ("mdft.seeds", "unknown recipe", "debgu"),
    ("mdft.ablate", "unknown recipe", "ucff"),
    ("mdft.ablate", "unknown row", "debug --only motoin"),
    ("mdft.data.rendered.benchmark", "nothing to do", ""),
    ("mdft.train", "unknown model", "debug --model avac"),
    (
        "mdft.data.rendered.benchmark",
        "unknown class",
        "--export spotted_star-spins-chirp --out clips",
    ),
    ("events.convert", "unknown luma", "a.mp4 out.h5 --luma sgrb"),
    ("hardware.run", "unknown backend", "motion_audio.nir probe.npz --backend lava_fixd"),
    ("hardware.run", "unknown runtime", "a.nir p.npz --backend lava_fixed --runtime fast"),
)


@dataclass(frozen=True)
class Answer:
    """What a command did: exit status, both streams, and what it left behind."""

    status: int
    out: str
    err: str
    left: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """A command and one thing wrong with what it is given."""

    module: str
    wrong: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Flag:
    """A flag of a command, as ``--help`` shows it.

    Attributes:
        name: with its dashes.
        takes: what follows it, such as ``INT`` or ``{a,b}``; empty of a switch.
        text: what it is for, and its default.
    """

    name: str
    takes: str
    text: str


def with_guard() -> dict[str, str]:
    """Module → source of everything of ours that can be called with ``python -m``."""
    files = (f for package in PACKAGES for f in sorted((ROOT / package).rglob("*.py")))
    parts = {f: f.relative_to(ROOT).with_suffix("").parts for f in files}
    texts = {".".join(p).removesuffix(".__main__"): f.read_text() for f, p in parts.items()}
    return {module: text for module, text in texts.items() if GUARD in text}


def commands() -> list[str]:
    """Modules that are commands; the others with a guard are children of ours."""
    return [module for module, text in with_guard().items() if re.search(r"\bparse\(", text)]


def run(module: str, *arguments: object, folder: Path, **environment: str) -> tuple[int, str, str]:
    """``python -m MODULE ARGUMENTS`` in this process, without the seconds of importing torch.

    Args:
        module: with a ``__main__`` guard.
        arguments: of the command line.
        folder: the working directory meanwhile.
        environment: variables that are set meanwhile.

    Returns:
        Exit status, and what was written on stdout and stderr.
    """
    # tyro draws its boxes as the encoding of stdout allows.
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    before = os.getcwd()
    with contextlib.ExitStack() as stack:
        os.chdir(folder)
        stack.callback(os.chdir, before)
        stack.enter_context(mock.patch.dict(os.environ, environment))

        def replaced(python: str, _: list[str], variables: dict[str, str]) -> NoReturn:
            """A command that starts itself anew would end the tests: it gets a process."""
            command = [python, "-m", module, *map(str, arguments)]
            path = os.pathsep.join([str(ROOT), variables.get("PYTHONPATH", "")])
            done = subprocess.run(
                command, env={**variables, "PYTHONPATH": path}, capture_output=True, text=True
            )
            out.write(done.stdout)
            err.write(done.stderr)
            raise SystemExit(done.returncode)

        stack.enter_context(mock.patch.object(os, "execve", replaced))
        stack.enter_context(mock.patch.object(sys, "argv", [module, *map(str, arguments)]))
        stack.enter_context(warnings.catch_warnings())
        # runpy's: the module was imported before, by another one.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="runpy")
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        status = 0
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as left:
            status = int(left.code or 0)
    for stream in (out, err):
        stream.seek(0)
    return status, out.read(), err.read()


def call(module: str, *arguments: str) -> Answer:
    """:func:`run` in an empty folder that holds one text file and one empty folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / TEXT).write_text("no video, no graph, no run\n")
        (folder / EMPTY).mkdir()
        status, *printed = run(module, *arguments, folder=folder, MDFT_CACHE=f"{name}/.cache")
        paths = (str(p.relative_to(folder)) for p in folder.rglob("*"))
        left = sorted(p for p in paths if p not in (TEXT, EMPTY))
        out, err = (text.replace(os.path.realpath(folder), ".") for text in printed)
    return Answer(status, out, err, tuple(left))


def flags(help_text: str) -> list[Flag]:
    """The flags that a help text explains."""
    boxes = re.findall(r"^│ (.*?) *│$", help_text, re.MULTILINE)
    entries = re.split(r"\n(?=-)", "\n" + "\n".join(boxes))
    found = []
    for entry in entries[1:]:
        head, _, text = re.sub(r" {2,}|\n", "\0", entry).partition("\0")
        name, _, takes = head.split(", ")[-2 if ", --no-" in head else -1].partition(" ")
        found.append(Flag(name, takes, " ".join(text.replace("\0", " ").split())))
    return [flag for flag in found if flag.name.startswith("--") and flag.name != "--help"]


def positionals(help_text: str) -> list[str]:
    """The names of the arguments without a flag."""
    box = re.search(r"─ positional arguments ─.*?╰", help_text, re.DOTALL)
    return re.findall(r"^│ (\S+)", box.group(), re.MULTILINE) if box else []


def cases(module: str, help_text: str) -> Iterator[Case]:
    """Everything wrong that a command can be given."""
    own = [flag for flag in flags(help_text) if flag.name != "--debug"]
    names = positionals(help_text)
    must = [flag for flag in own if "(required)" in flag.text]
    given = [w for f in must for w in (f.name, *REQUIRED[f.name].split())]
    absent = [ARGUMENTS.get(name, "no/such") for name in names]
    if names or must:
        yield Case(module, "nothing", ())
    yield Case(module, "unknown flag", (*absent, *given, "--no-such-flag"))
    if own:
        typo = own[0].name[:-2] + own[0].name[-1]
        yield Case(module, "misspelt flag", (*absent, *given, typo))
    for wrong, kind in (("no number", r"\bINT|FLOAT"), ("none of the choices", r"^\{[^}]+\}$")):
        fitting = [flag for flag in own if re.search(kind, flag.takes)]
        if fitting:
            rest = [w for f in must if f != fitting[0] for w in (f.name, *REQUIRED[f.name].split())]
            many = ["many"] * len(fitting[0].takes.split())
            yield Case(module, wrong, (*absent, *rest, fitting[0].name, *many))
    if names and names[0] != "OUT":
        rest = absent[1:]
        yield Case(module, "missing file", (*absent, *given))
        yield Case(module, "a file of another kind", (TEXT, *rest, *given))
        yield Case(module, "an empty folder", (EMPTY, *rest, *given))
    for name, wrong, arguments in SPECIAL:
        if name == module:
            yield Case(module, wrong, tuple(arguments.split()))


def rows() -> list[tuple[Case, Answer]]:
    """All commands × all that can be wrong."""
    found = []
    for module in commands():
        for case in cases(module, call(module, "--help").out):
            found.append((case, call(case.module, *case.arguments)))
    return found
