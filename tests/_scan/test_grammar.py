# SPDX-License-Identifier: Apache-2.0
"""The grammars of Python 3 and 2."""

import ast
import subprocess
import sys
from pathlib import Path

import parso
import pytest

from final_ops_callback._scan import grammar

OF_2 = [
    "print 'a', b\n",
    "print >>log, 'a', 0777\n",
    "exec 'a = 1' in names\n",
    "raise Error, 'text'\n",
    "try:\n    pass\nexcept (A, B), error:\n    pass\n",
    "a = `b`\n",
    "a = 0777 + 10L\n",
    "a = ur'\\d'\n",
    "if a <> b: pass\n",
    "def f(a, (b, c)): pass\n",
    "f = lambda (a, b): a\n",
]


@pytest.mark.parametrize("text", OF_2)
def test_python_2_is_parsed_whole(text: str) -> None:
    """Each statement that Python 3 lost is parsed, and given back unchanged."""
    parsed = grammar.parse(text)

    assert parsed.dialect == "2"
    assert parsed.first_2 > 0
    assert parsed.errors == ()
    assert parsed.tree.get_code() == text
    with pytest.raises(SyntaxError):
        ast.parse(text)


def test_print_as_a_function_in_python_2() -> None:
    """With print_function, other statements of Python 2 are still parsed."""
    text = "print('a', file=b)\nraise Error, 'text'\n"
    parsed = grammar.parse(text)

    assert parsed.dialect == "2 with print_function"
    assert parsed.first_2 == 2


def test_newer_python_is_no_error() -> None:
    """A match statement, which parso does not know, is no syntax error."""
    assert grammar.parse("match a:\n    case 1: pass\n").errors == ()


def test_python_3_is_not_taken_for_python_2() -> None:
    """Real code of Python 3 has the dialect 3, whole modules of it."""
    for module in (ast, subprocess, parso):
        text = Path(str(module.__file__)).read_text(encoding="utf-8")

        assert grammar.parse(text).dialect == "3"


def test_an_error_has_its_line_and_leaves_the_rest() -> None:
    """What stands before and after an error is in the tree."""
    parsed = grammar.parse("a = 1\nb = (\nclass A:\n    pass\n\n\nc = 2\n")

    assert [line for line, _ in parsed.errors] == [3]
    assert "\n" not in parsed.errors[0][1]
    assert parsed.tree.get_used_names()["a"]


@pytest.mark.parametrize("text", ["a = 1\n", "", "x = 1if y else 2\n", "\f\n"])
def test_a_text_fits_its_dialect(text: str) -> None:
    """What Python 3 can parse fits, and a broken copy of it does not."""
    assert grammar.fits(text, "3")
    assert not grammar.fits(f"{text}(", "3")


def test_a_text_of_python_2_fits_only_that() -> None:
    """A text that is written must be parsed by the grammar that read it."""
    assert grammar.fits("print 1\n", "2")
    assert not grammar.fits("print 1\n", "3")


def test_another_grammar_of_parso_is_told() -> None:
    """If parso changes its rules, the error says so and shows the way out."""
    with pytest.raises(RuntimeError, match="pip install"):
        grammar._replaced("stmt: simple_stmt", "^gone:", "")


def test_no_tensorflow_is_imported() -> None:
    """A scan loads neither TensorFlow nor Keras."""
    program = (
        "import sys\n"
        "from final_ops_callback._scan.command import run\n"
        "run(['scan', sys.argv[1]])\n"
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    tree = Path(__file__).parent / "tree"
    done = subprocess.run(
        [sys.executable, "-c", program, tree / "plain_v1.py"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "[]"
