"""Command-line interface: parse arguments into a dataclass; print an error as one line."""

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
from mdft.machine import checked

T = TypeVar("T")

#: Limit on the characters of an error line; names in a malicious file may be very long.
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
        command: dataclass of the command; ``--help`` begins with its docstring.
        prog: name of the command in ``--help``.
        arguments: arguments to parse; default: those of the process.
        default: default values of the flags; None: those of the class.
        notes: text printed after the docstring; its line breaks are kept.

    Raises:
        UserError: tyro rejects the arguments; its message and suggestions in one line.
    """
    config: tuple[Any, ...] = ("config", Annotated[command, tyro.conf.arg(name="")])
    if default is not None:
        config = (*config, field(default=default))
    # A wrapper and not a base class, so that the commands need not define the flag.
    shell = make_dataclass("Shell", [config, ("debug", _DEBUG, False)], frozen=True)
    text = re.split(r"\n\n(?:Attributes|Args):\n", inspect.getdoc(command) or "")[0]
    # tyro keeps the break before a line that does not begin with a letter.
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
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
    """Convert tyro's boxed error text; an invalid choice gets a suggestion, which tyro omits.

    The box is parsed because tyro (1.0) has no other public access to the text:
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
    """Run a command; print a UserError or an OSError as one line on stderr.

    With ``--debug`` on the process's command line the traceback is printed instead. Characters that
    the encoding of the output lacks, as β in ASCII, are printed as question marks.

    Args:
        main: function of the command; returns the exit status.

    Returns:
        The return value of ``main``, 2 after such an error, 130 after Ctrl-C, 141 if the reader of
        stdout has closed it.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not under a debugger that replaced it
            stream.reconfigure(errors="replace")
    try:
        status = main()
        sys.stdout.flush()
        return status
    except (UserError, OSError) as error:
        if isinstance(error, BrokenPipeError) and _unread():
            os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)  # discard the remaining output
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
    """Whether the reader of stdout has closed it, as `| head` does; this is not an error."""
    poll = select.poll()
    poll.register(_STDOUT, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def run_main(main: Callable[[], int]) -> None:
    """Run a command's ``main`` and exit with the status of :func:`exit_status`.

    Args:
        main: function of the command; returns the exit status.
    """
    sys.exit(exit_status(lambda: checked(main)))
