# SPDX-License-Identifier: Apache-2.0
"""Parses Python 3 and Python 2, also where a text has errors.

parso has the grammars of Python 3 alone. That of Python 2 is made of one of
them here: with the statements `print` and `exec`, `except E, e`,
`raise E, "text"`, backticks, `10L`, `0777` and `ur"text"`.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import itertools
import pathlib
import re
import warnings
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any
from typing import Literal

import parso
from parso.grammar import PythonGrammar
from parso.grammar import load_grammar
from parso.parser import ParserSyntaxError
from parso.python.token import PythonTokenTypes
from parso.utils import parse_version_string

Dialect = Literal["3", "2", "2 with print_function"]

_VERSION = "3.11"
# Python allows 200. parso takes ever longer to find a way around an error.
_DEEPEST = 400
# What Python 2 has instead of some rules of the grammar of Python 3.
_RULES_OF_2 = {
    "raise_stmt": (
        "'raise' [test ['from' test | ',' test [',' test]]]"  # either way
    ),
    "except_clause": "'except' [test [('as' | ',') test]]",
    "tfpdef": "(NAME | '(' tfplist ')') [':' test]",
    "vfpdef": "NAME | '(' vfplist ')'",
}
_NEW_RULES = """
tfplist: tfpdef (',' tfpdef)* [',']
vfplist: vfpdef (',' vfpdef)* [',']
exec_stmt: 'exec' expr ['in' test [',' test]]
"""
_PRINT = """
print_stmt: 'print' ([test (',' test)* [',']] | '>>' test [(',' test)+ [',']])
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Parsed:
    """A text as a tree.

    Args:
        tree: The module of parso.
        dialect: The Python whose grammar fits.
        first_2: Integer. The first line that Python 3 can't parse, if the
            dialect is that of Python 2, else 0.
        errors: Tuple of pairs of a line and a reason: where no grammar fits.
    """

    tree: Any
    dialect: Dialect
    first_2: int
    errors: tuple[tuple[int, str], ...]


class _GrammarOf2(PythonGrammar):
    """A grammar of Python 2: joins the tokens that Python 3 takes apart."""

    def _tokenize_lines(self, lines: Any, **kwargs: Any) -> Any:
        return _joined(super()._tokenize_lines(lines, **kwargs))

    def _tokenize(self, code: str) -> Any:
        return _joined(super()._tokenize(code))  # type: ignore[no-untyped-call]


def _joined(tokens: Iterable[Any]) -> Iterator[Any]:
    """Joins `10` and `L`, `0` and `777`, `<` and `>`, `ur` and a string."""
    last: Any = None
    for token in tokens:
        if token.type == PythonTokenTypes.ERRORTOKEN and token.string == "`":
            token = token._replace(type=PythonTokenTypes.OP)
        if last is not None and not token.prefix and _belong(last, token):
            last = last._replace(
                type=token.type
                if token.type == PythonTokenTypes.STRING
                else last.type,
                string=last.string + token.string,
            )
            continue
        if last is not None:
            yield last
        last = token
    if last is not None:
        yield last


def _belong(last: Any, token: Any) -> bool:
    if last.type == PythonTokenTypes.NUMBER:
        return bool(
            token.type == PythonTokenTypes.NUMBER
            or (
                token.type == PythonTokenTypes.NAME
                and token.string in ("l", "L")
            )
        )
    if last.type == PythonTokenTypes.OP:
        return bool(last.string == "<" and token.string == ">")
    return bool(
        token.type == PythonTokenTypes.STRING
        and last.type == PythonTokenTypes.NAME
        and last.string.lower() == "ur"
    )


@functools.cache
def _grammar(dialect: Dialect) -> Any:
    if dialect == "3":
        return load_grammar(version=_VERSION)
    has_print = dialect == "2"
    folder = pathlib.Path(parso.__file__).parent / "python"
    name = f"grammar{_VERSION.replace('.', '')}.txt"
    text = (folder / name).read_text(encoding="utf-8")
    for rule, right in _RULES_OF_2.items():
        text = _replaced(text, rf"^{rule}:.*$", f"{rule}: {right}")
    small = r"\1 exec_stmt | " + ("print_stmt | " if has_print else "")
    text = _replaced(text, r"^(small_stmt: \()", small)
    text = _replaced(text, r"(NAME \| NUMBER)", r"'`' testlist '`' | \1")
    text += _NEW_RULES + (_PRINT if has_print else "")
    return _GrammarOf2(parse_version_string(_VERSION), text)


def _replaced(text: str, pattern: str, new: str) -> str:
    text, count = re.subn(pattern, new, text, count=1, flags=re.MULTILINE)
    if not count:
        raise RuntimeError(
            f"this parso has another grammar: nothing matches {pattern!r}. "
            'Install the one that is tested: pip install "parso>=0.8,<0.9"'
        )
    return text


def parse(text: str) -> Parsed:
    r"""Parses a text with the grammar that fits it best.

    Args:
        text: String. The text of a Python file.

    Returns:
        A `Parsed`. If no grammar fits, its tree has error nodes where the
        text can't be understood, and the rest is as usual.

    Raises:
        RecursionError: The text is nested too deeply.

    Example:
    >>> parse("print 'old'\n").dialect, parse("print('new')\n").dialect
    ('2', '3')
    """
    if _depth(text) > _DEEPEST and not is_python(text):
        raise RecursionError("too many brackets in one another")
    failures: dict[Dialect, Any] = {}
    dialects: tuple[Dialect, ...] = ("3", "2", "2 with print_function")
    for dialect in dialects:
        try:
            tree = _grammar(dialect).parse(text, error_recovery=False)
        except ParserSyntaxError as error:
            failures[dialect] = error.error_leaf
            continue
        first = failures["3"].start_pos[0] if failures else 0
        return Parsed(tree, dialect, first, ())
    best = max(dialects, key=lambda d: failures[d].start_pos)
    if failures[best].start_pos == failures["3"].start_pos:
        best = "3"
    tree = _grammar(best).parse(text)
    first = 0 if best == "3" else failures["3"].start_pos[0]
    if is_python(text):  # newer than parso, such as a match statement
        return Parsed(tree, "3", 0, ())
    leaf = failures[best]
    return Parsed(tree, best, first, ((leaf.start_pos[0], _why(leaf)),))


def _depth(text: str) -> int:
    """Returns how deeply brackets are nested, those in strings included."""
    marks = (1 if m in "([{" else -1 for m in re.findall(r"[()\[\]{}]", text))
    return max(itertools.accumulate(marks), default=0)


def _why(leaf: Any) -> str:
    text = leaf.value.strip().splitlines()
    what = f"near {text[0][:40]!r}" if text else "at the end of a line"
    return f"a syntax error {what}"


def is_python(text: str) -> bool:
    """Returns whether the Python that runs this could compile a text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on the text, such as "\d"
        try:
            ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def fits(text: str, dialect: Dialect) -> bool:
    """Returns whether a text has no error in the grammar of a dialect."""
    if dialect == "3" and is_python(text):
        return True
    try:
        _grammar(dialect).parse(text, error_recovery=False)
    except (ParserSyntaxError, RecursionError):
        return False
    return True
