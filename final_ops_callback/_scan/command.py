# SPDX-License-Identifier: Apache-2.0
"""The commands `scan` and `fix`: their arguments, output and exit codes."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
import sys
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import NoReturn

if TYPE_CHECKING:
    from final_ops_callback._scan.findings import Report
    from final_ops_callback._scan.findings import Unreadable

PACKAGES = ("parso", "rich")
# After this many seconds a progress bar appears.
PATIENCE = 1.0
_PROGRAM = "python -m final_ops_callback"
_SCAN = """\
Finds the session hooks of TensorFlow 1 in Python files (of Python 2, too) and
notebooks, without running them: each class of hooks, each hook that is made,
each place that passes hooks, the MonitoredSession family, and the names that
TensorFlow 2 has not. For each it says whether it runs as it stands, and the
line to write if not. What only a run knows (classes made by type(), names that
are put together) is not found.
"""
_VERDICTS = """\
verdicts:
  unmodified  it runs under SessionRunHookCallback as it stands
  change      it runs after the edit that is shown
  replace     Keras or this package has something in its place
  none        there is no way

exit codes:
  0  nothing has to be done
  1  something has to be changed or replaced, or has no way
  2  wrong arguments, or a path that is not there (the others are scanned)
  3  nothing has to be done in what could be read, but not all could be
"""
_FIX = """\
Rewrites what is safe to rewrite: spellings to names that exist, a FinalOpsHook
whose ops Keras has to a FinalOpsCallback, and a comment with the Keras line
above each place that passes hooks. Everything else stays as it is; a second
run changes nothing. Notebooks are left alone.
"""
_FIX_CODES = """\
exit codes:
  0  nothing to rewrite, or --write has written it
  1  there is something to rewrite (without --write), or a file could not be
     written
  2  wrong arguments, or a path that is not there (the others are done)
"""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        """Exits with code 2 and `message` on stderr."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def run(argv: Sequence[str]) -> int:
    """Runs `scan` or `fix`.

    Args:
        argv: Sequence of strings: the name of the command, and its arguments.

    Returns:
        The exit code, as `--help` of the command explains it.

    Raises:
        SystemExit: With code 2 when an argument is wrong or a package is
            missing, after one line on stderr.
    """
    name, *rest = argv
    parser = _scan_parser() if name == "scan" else _fix_parser()
    arguments = parser.parse_args(rest)
    missing = [p for p in PACKAGES if not importlib.util.find_spec(p)]
    if missing:
        parser.error(
            f"it needs {', '.join(missing)}: "
            'pip install "final_ops_callback[scan]"'
        )
    _prepare_streams()
    command = _scan if name == "scan" else _fix
    try:
        code = command(parser, arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough, as `head` has.
        _forget_output()
        return 1
    except OSError as error:
        # The files are read and written elsewhere, with errors of their own.
        _forget_output()
        parser.error(f"can't write the output: {error.strerror}")
    except KeyboardInterrupt:
        return 130
    return code


def _forget_output() -> None:
    """Sends what is left of the output to nowhere.

    Python would complain about it once more at its exit.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _scan_parser() -> _Parser:
    parser = _Parser(
        prog=f"{_PROGRAM} scan",
        description=_SCAN,
        epilog=_VERDICTS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_paths(parser)
    parser.add_argument(
        "--json", action="store_true", help="print JSON instead of tables"
    )
    parser.add_argument(
        "--html", metavar="FILE", help="write a page of HTML as well"
    )
    return parser


def _fix_parser() -> _Parser:
    parser = _Parser(
        prog=f"{_PROGRAM} fix",
        description=_FIX,
        epilog=_FIX_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_paths(parser)
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--diff", action="store_true", help="print a diff (the default)"
    )
    group.add_argument("--write", action="store_true", help="write the files")
    return parser


def _add_paths(parser: _Parser) -> None:
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="a Python file, a notebook, or a folder, which is read whole",
    )


def _prepare_streams() -> None:
    """Lets streams print what their encoding has not, such as odd paths.

    A process that is started without an output gets one that leads nowhere.
    """
    if sys.stdout is None:
        sys.stdout = io.StringIO()
    if sys.stderr is None:
        sys.stderr = io.StringIO()
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _scan(parser: _Parser, arguments: argparse.Namespace) -> int:
    from final_ops_callback._scan.scan import scan

    if arguments.html is not None:
        # Before the scan, so that a wrong path costs no time.
        _write_page(parser, arguments.html, "", "a")
    with _progress("scanning") as progress:
        report = scan(arguments.paths, progress)
    if arguments.html is not None:
        from final_ops_callback._scan.page import page

        _write_page(parser, arguments.html, page(report), "w")
    if arguments.json:
        json.dump(report.as_json(), sys.stdout, indent=1)
        sys.stdout.write("\n")
    else:
        _show(report)
    return _scan_code(report, arguments.paths)


def _write_page(parser: _Parser, path: str, text: str, mode: str) -> None:
    try:
        with open(
            path, mode, encoding="utf-8", errors="xmlcharrefreplace"
        ) as file:
            file.write(text)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        parser.error(f"argument --html: can't write to {path}: {reason}")


def _show(report: Report) -> None:
    from rich.console import Console

    from final_ops_callback._scan.table import show
    from final_ops_callback._scan.table import width_of

    console = Console(highlight=False, emoji=False, markup=False)
    if sys.stdout.isatty():
        show(report, console)
        return
    # No line of code may break: whoever reads it may want to copy it.
    console.width = max([console.width, *map(width_of, report.findings)])
    show(report, console, most=80)


def _scan_code(report: Report, paths: Sequence[str]) -> int:
    if not all(map(os.path.lexists, paths)):
        return 2
    if any(f.verdict != "unmodified" for f in report.findings):
        return 1
    return 3 if report.unreadable else 0


def _fix(parser: _Parser, arguments: argparse.Namespace) -> int:
    from final_ops_callback._scan import fix

    with _progress("reading") as progress:
        fixes = fix.fix(arguments.paths, progress)
    code = 0
    for fixed in fixes.fixed:
        if not arguments.write:
            sys.stdout.write(fixed.diff())
            code = 1
            continue
        try:
            fix.write(fixed)
        except OSError as error:
            reason = error.strerror or error
            _say(f"{fixed.source.path}: not written: {reason}")
            code = 1
        else:
            _say(f"{fixed.source.path}: written")
    for path in fixes.notebooks:
        _say(f"{path}: a notebook, left as it is: scan shows what to write")
    _say_unreadable(fixes.unreadable)
    return code if all(map(os.path.lexists, arguments.paths)) else 2


def _say_unreadable(unreadable: Sequence[Unreadable]) -> None:
    from final_ops_callback._scan.table import unreadable_line

    for one in unreadable:
        _say(f"unreadable: {unreadable_line(one)}")


def _say(line: str) -> None:
    from final_ops_callback._scan.printable import printable

    sys.stderr.write(f"{printable(line)}\n")


@contextlib.contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yields a function that shows a bar on stderr, if it takes long."""
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True)
    start = time.monotonic()
    task = bar.add_task(what, total=None)

    def tell(done: int, total: int) -> None:
        if not bar.live.is_started:
            if time.monotonic() - start < PATIENCE:
                return
            bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield tell
    finally:
        if bar.live.is_started:
            bar.stop()
