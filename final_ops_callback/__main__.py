# SPDX-License-Identifier: Apache-2.0
"""Runs the main job: trains on the digits, keeps and shows the final values.

`python -m final_ops_callback --help` explains the options. With `scan` or
`fix` as its first argument it runs that command of `_scan` instead.
"""

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

DEMO_PACKAGES = ("sklearn", "matplotlib", "rich")
COMMANDS = ("scan", "fix")
FILES = ("final_ops.json", "confusion_matrix.png")


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        """Exits with code 2 and `message` on stderr."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the main job.

    Args:
        argv: List of strings: the arguments of the command line. Defaults to
            `None`: the arguments of the process.

    Returns:
        The exit code: 0; that of the command, if there is one.

    Raises:
        SystemExit: With code 2 when an argument is wrong or a package is
            missing, after one line on stderr.
    """
    given = sys.argv[1:] if argv is None else list(argv)
    if given[:1] and given[0] in COMMANDS:
        # Here, because the main job does without it, and it without TensorFlow.
        from final_ops_callback._scan.command import run as run_command

        return run_command(given)
    parser = _parser()
    arguments = parser.parse_args(given)
    _check_packages(parser)
    _make_folder(parser, arguments.out)

    # Here, not at the top: importing TensorFlow takes seconds, and neither
    # --help nor the error for a wrong argument should take that long.
    from final_ops_callback._demo import run

    run(arguments.out, arguments.epochs)
    return 0


def _parser() -> _Parser:
    parser = _Parser(
        prog="python -m final_ops_callback",
        description=(
            "Trains a small Keras classifier on the digits of scikit-learn, "
            "with a v1 LoggingTensorHook in fit and a FinalOpsCallback in fit "
            "and in evaluate. Prints the final values as a table and writes "
            "final_ops.json and confusion_matrix.png."
        ),
        epilog=(
            "commands of their own (each has --help): `scan PATH...` finds "
            "the hooks of TensorFlow 1 in your code and says what to do with "
            "each; `fix PATH...` rewrites what is safe to rewrite."
        ),
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("final_ops_demo"),
        metavar="DIR",
        help="folder of the two files, made if missing (default: %(default)s)",
    )
    parser.add_argument(
        "--epochs",
        type=_positive,
        default=8,
        metavar="N",
        help="passes over the training images (default: %(default)s)",
    )
    return parser


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"not a positive integer: {text!r}")
    return number


def _check_packages(parser: _Parser) -> None:
    missing = [p for p in DEMO_PACKAGES if not importlib.util.find_spec(p)]
    if missing:
        parser.error(
            f"the demo needs {', '.join(missing)}: "
            'pip install "final_ops_callback[demo]"'
        )


def _make_folder(parser: _Parser, folder: Path) -> None:
    """Makes the folder and checks, before the training, that it is writable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        parser.error(
            f"argument --out: can't write to {folder}: {error.strerror}"
        )
    for name in FILES:
        if (folder / name).is_dir():
            parser.error(f"argument --out: {folder / name} is a folder")


if __name__ == "__main__":
    sys.exit(main())
