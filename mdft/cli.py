"""The front of a command: arguments into a dataclass, a mistake into one line and a status."""

from __future__ import annotations

import inspect
import io
import os
import re
import select
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import field, make_dataclass
from typing import Annotated, Any, TypeVar

import tyro

from mdft.errors import UserError, unknown

T = TypeVar("T")

#: Characters of an error's line; a name from a hostile file may have millions.
_LONGEST = 2000
_STDOUT = 1
_DEBUG = Annotated[
    bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help="Show the traceback of an error.")
]


def parse(
    command: type[T],
    prog: str,
    arguments: Sequence[str] | None = None,
    *,
    default: T | None = None,
    notes: str = "",
) -> T:
    """Read a command line into a dataclass; ``--debug`` is a flag of every command.

    Args:
        command: dataclass of the command; its docstring opens ``--help``.
        prog: how the command is called, as ``--help`` shows it.
        arguments: by default those of the process.
        default: values of the flags that are not given, where they are not the class's.
        notes: shown after the docstring, line by line as it is.

    Raises:
        UserError: what tyro refuses, with its suggestions, in one line.
    """
    config: tuple[Any, ...] = ("config", Annotated[command, tyro.conf.arg(name="")])
    if default is not None:
        config = (*config, field(default=default))
    # A wrapper, not a base class: no command has to know of the flag.
    shell = make_dataclass("Shell", [config, ("debug", _DEBUG, False)], frozen=True)
    said = re.split(r"\n\n(?:Attributes|Args):\n", inspect.getdoc(command) or "")[0]
    # tyro keeps the break before a line that does not begin with a letter.
    paragraphs = [" ".join(paragraph.split()) for paragraph in said.split("\n\n")]
    description = "\n\n".join([*paragraphs, *filter(None, [notes])])
    box = io.StringIO()
    try:
        with redirect_stderr(box):
            return tyro.cli(shell, prog=prog, description=description, args=arguments).config
    except SystemExit as left:
        if not left.code:  # --help
            raise
        raise _refusal(box.getvalue()) from None


def _refusal(box: str) -> UserError:
    """The error of the text in tyro's box; of a choice with the nearest one, which tyro leaves out.

    The box is taken apart because tyro (1.0) hands out the text in no other public way:
    ``console_outputs=False`` drops it, and the hook of ``tyro._errors`` is declared unstable.
    """
    rules = r"(?m)^[ │]*(?:[╭╰].*|[─-]{8,})[ │]*$"
    sections = re.split(rules, box)[1:]  # where stdout is not UTF-8 the title is a section
    lines = (" ".join(section.replace("│", " ").split()) for section in sections)
    text = "; ".join(filter(None, lines))
    choice = re.match(r"invalid choice '([^']*)' for argument '([^']*)'\. [^(]*\(([^)]*)\)", text)
    if not choice:
        return UserError(text)
    name, flag, known = choice.groups()
    return unknown(flag, name, re.findall(r"'([^']+)'", known))


def exit_status(main: Callable[[], int]) -> int:
    """Run a command; a UserError or an OSError becomes one line on stderr and status 2.

    With ``--debug`` on the process's command line the traceback takes the line's place.

    Args:
        main: returns the exit status.

    Returns:
        What ``main`` returned, 2 after a mistake, 130 after Ctrl-C, 141 if nobody reads what
        it prints.
    """
    try:
        status = main()
        sys.stdout.flush()
        return status
    except (UserError, OSError) as error:
        if isinstance(error, BrokenPipeError) and _unread():
            os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)  # what is left goes nowhere
            return 128 + signal.SIGPIPE
        if "--debug" in sys.argv[1:]:
            traceback.print_exc()
        else:
            print(f"error: {' '.join(str(error).split())[:_LONGEST]}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if "--debug" in sys.argv[1:]:
            traceback.print_exc()
        print("interrupted", file=sys.stderr)
        return 130


def _unread() -> bool:
    """Whether the reader of stdout is gone, as after `| head`: no mistake, and nothing to say."""
    poll = select.poll()
    poll.register(_STDOUT, 0)
    return any(said & select.POLLERR for _, said in poll.poll(0))


def run_main(main: Callable[[], int]) -> None:
    """Run a command's ``main`` and exit with the status of :func:`exit_status`.

    Args:
        main: returns the exit status.
    """
    sys.exit(exit_status(main))
