# SPDX-License-Identifier: Apache-2.0
"""Each package imports only the packages that the table allows."""

import ast
import graphlib
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_private_api import OF_KERAS

PACKAGE = "final_ops_callback"
ROOT = Path(__file__).parents[1] / PACKAGE

# Data goes down, values come back up: a package knows those that it is made
# of, and never who uses it.
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "shared": {"errors"},
    "_keras": {"errors", "shared"},
    "_session": {"errors", "shared"},
    "_step": {"errors", "shared", "_keras"},
    "_hooks": {"errors", "shared", "_keras", "_session", "_step"},
    "_final_ops": {"errors", "shared", "_keras", "_step"},
    "_checkpoints": {"errors", "shared", "_keras", "_hooks", "_final_ops"},
    "testing": {"errors"},
    "estimator": {"errors"},
    "v1_names": {"estimator"},
    "_scan": set(),
    "face": {"_session", "_hooks", "_final_ops", "_checkpoints"},
    "demo": {"face", "_scan"},
}

# The files that belong to no package.
FILES = {
    "__init__": "face",
    "__main__": "demo",
    "_demo": "demo",
    "errors": "errors",
    "testing": "testing",
    "v1_names": "v1_names",
    "_eager_mode": "shared",
    "_names": "shared",
    "_profile": "shared",
    "_random_ops": "shared",
    "_structure": "shared",
    "_tf_private": "shared",
    "_to_host": "shared",
}

Modules = dict[str, str]


def sources() -> Modules:
    """Returns the text of each module by its dotted name in the package."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text(
            encoding="utf-8"
        )
        for path in ROOT.rglob("*.py")
    }


def imports_of(source: str, modules: Modules) -> set[str]:
    """Returns the modules that a source imports, also inside of functions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise ValueError("import the package by its name")
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {_module(name, modules) for name in names}
    return found - {""}


def _module(name: str, modules: Modules) -> str:
    """Returns the module that a dotted name is in; empty if not of ours."""
    first, *parts = name.split(".")
    if first != PACKAGE:
        return ""
    while parts:
        for module in (".".join(parts), ".".join([*parts, "__init__"])):
            if module in modules:
                return module
        parts.pop()
    return "__init__"


def home_of(module: str) -> str:
    """Returns the package (or the group of files) that a module is in."""
    package, dot, _ = module.partition(".")
    return package if dot else FILES.get(module, module)


def faults(modules: Modules) -> list[str]:
    """Returns a sentence for each way in which the order is not kept."""
    found = []
    needed: dict[str, set[str]] = {home: set() for home in ARROWS}
    for module, source in modules.items():
        home = home_of(module)
        if home not in ARROWS:
            found.append(f"{module} belongs to no package")
            continue
        for other in imports_of(source, modules):
            if home_of(other) == home:
                continue
            needed[home].add(home_of(other))
            if home_of(other) not in ARROWS[home]:
                found.append(f"{module} imports {other}")
    found += [
        f"nothing of {home} imports {other}"
        for home, others in ARROWS.items()
        for other in others - needed[home]
    ]
    return sorted(found)


def below(home: str) -> set[str]:
    """Returns all packages that a package needs, also indirectly."""
    found: set[str] = set()
    for other in ARROWS[home]:
        found |= {other} | below(other)
    return found


def test_the_order_of_packages_is_kept() -> None:
    """Each package imports what the table allows, and all of it."""
    assert faults(sources()) == []


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("errors", "from {} import _names", "errors imports _names"),
        (
            "_names",
            "from {}._keras import compat",
            "_names imports _keras.compat",
        ),
        (
            "_session.plan",
            "from {}._step.lookup import StepNames",
            "_session.plan imports _step.lookup",
        ),
        (
            "_final_ops.feeds",
            "def f():\n    import {}._hooks.runner",
            "_final_ops.feeds imports _hooks.runner",
        ),
        (
            "_keras.compat",
            "from {} import FinalOpsCallback",
            "_keras.compat imports __init__",
        ),
        ("_new", "", "_new belongs to no package"),
    ],
)
def test_a_broken_order_would_be_found(
    module: str, source: str, fault: str
) -> None:
    """An import upward, or a new file without a package, is a fault."""
    modules = sources() | {module: source.format(PACKAGE)}

    assert fault in faults(modules)


def test_an_arrow_that_nobody_needs_would_be_found() -> None:
    """A package that may import more than it does is a fault."""
    modules = {
        name: "" if home_of(name) == "testing" else source
        for name, source in sources().items()
    }

    assert faults(modules) == ["nothing of testing imports errors"]


def test_no_module_leads_back_to_itself() -> None:
    """The modules have an order in which each imports only earlier ones."""
    modules = sources()
    graph = {
        name: imports_of(source, modules) - {name}
        for name, source in modules.items()
    }
    order = list(graphlib.TopologicalSorter(graph).static_order())

    assert set(order) == set(modules)


def test_a_circle_would_be_found() -> None:
    """Two modules that import each other have no order."""
    circle = graphlib.TopologicalSorter({"a": {"b"}, "b": {"a"}})

    with pytest.raises(graphlib.CycleError):
        list(circle.static_order())


def test_neither_half_stands_on_the_other() -> None:
    """Sessions import no Keras; final ops import no session and no hooks."""
    assert not below("_session") & {"_keras", "_step", "_hooks", "_final_ops"}
    assert not below("_final_ops") & {"_session", "_hooks"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("FinalOpsCallback", ["_session", "_hooks"]),
        ("EagerSession", ["_keras", "_step", "_hooks", "_final_ops"]),
        ("HookRunner", ["_keras", "_step", "_final_ops"]),
        ("restore_v1", ["_session", "_step", "_hooks", "_final_ops"]),
        ("SessionRunHookCallback", ["_final_ops"]),
    ],
)
def test_a_public_name_loads_what_it_needs(
    name: str, others: list[str]
) -> None:
    """A fresh process that imports one name has none of the other packages."""
    program = (
        f"from {PACKAGE} import {name}\n"
        "import sys\n"
        f"print([n for n in {others!r} "
        f"if '{PACKAGE}.' + n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "[]"


class _WithoutDocstrings(ast.NodeTransformer):
    """Leaves out the strings that stand as statements."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else node


def _lines(pattern: str, homes: set[str]) -> list[str]:
    """Returns where the code of some packages matches, without strings."""
    found = []
    for module, source in sources().items():
        if home_of(module) not in homes:
            continue
        code = ast.unparse(_WithoutDocstrings().visit(ast.parse(source)))
        found += [
            f"{module}: {line.strip()}"
            for line in code.splitlines()
            if re.search(pattern, line)
        ]
    return found


def test_one_package_imports_keras() -> None:
    """Only `_keras` imports a Keras; the demo is a user of the package."""
    homes = set(ARROWS) - {"_keras", "demo"}

    assert _lines(r"^\s*(import|from) (keras|tf_keras)\b", homes) == []
    assert _lines(r"^\s*import keras\b", {"_keras"})


def test_one_file_has_the_private_names_of_tensorflow() -> None:
    """Only `_tf_private` imports from below TensorFlow's public names."""
    pattern = r"tensorflow\.(python|core|compiler|tsl)|tf\.__internal__"
    found = _lines(pattern, set(ARROWS))

    assert {line.partition(":")[0] for line in found} == {"_tf_private"}


# Whoever uses a private name of Keras elsewhere, and why.
OUTSIDE = {
    # A loop of one's own may have no Keras, and tensors of one.
    ("_hooks.foreign", "KerasTensor"),
    ("_hooks.foreign", "KerasVariable"),
    # A copy of a callback keeps its model, in both places of it.
    ("_final_ops.callback", "_model"),
}


def used_names(source: str) -> set[str]:
    """Returns the names that code uses of what is not its own.

    These are attributes of others, and strings: what `getattr` looks up, what
    is looked for in `vars`, the end of a name that is put together.
    """
    tree = _WithoutDocstrings().visit(ast.parse(source))
    found, own = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.Attribute):
            is_own = ast.unparse(node.value) in ("self", "cls")
            (own if is_own else found).add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found - own


def private_names(source: str) -> set[str]:
    """Returns those of the names that are private, and not of the package."""
    return {
        name
        for name in used_names(source)
        if re.fullmatch(r"_[a-z]\w*", name) and PACKAGE not in name
    }


def names_of_keras(modules: Modules) -> set[tuple[str, str]]:
    """Returns where the packages but `_keras` use private names of Keras."""
    return {
        (module, name)
        for module, source in modules.items()
        if home_of(module) not in ("_keras", "demo")
        for name in used_names(source) & OF_KERAS.keys()
    }


def test_each_private_name_of_keras_has_a_test() -> None:
    """What `_keras` uses of Keras that is private stands in the table."""
    used = {
        name
        for module, source in sources().items()
        if home_of(module) == "_keras"
        for name in private_names(source)
    }
    used -= {"_step", "_loss"}  # the ends of names that are public

    assert used <= set(OF_KERAS)
    assert len(used) > 10


@pytest.mark.parametrize(
    "source",
    [
        "model._gone",
        "getattr(model, '_gone', None)",
        "vars(model).pop('_gone')",
        "f'{phase}_gone'",
        "for name in ('_gone',): getattr(model, name)",
    ],
)
def test_a_private_name_without_a_test_would_be_found(source: str) -> None:
    """An attribute of another object, or a string, is a use of the name."""
    assert private_names(source) == {"_gone"}
    assert private_names(f"class A:\n def _gone(self):\n  {source}") == set()


def test_one_package_has_the_private_names_of_keras() -> None:
    """What is private in Keras is used in `_keras` alone."""
    assert names_of_keras(sources()) <= OUTSIDE


@pytest.mark.parametrize(
    "source", ["vars(model)['_tf_function']", "a.b._flatten_layers()"]
)
def test_a_private_name_elsewhere_would_be_found(source: str) -> None:
    """A private name of Keras in another package is noticed."""
    modules = sources() | {"_hooks.new": source}
    found = names_of_keras(modules) - names_of_keras(sources())

    assert [module for module, _ in found] == ["_hooks.new"]


def test_one_package_asks_which_keras_it_is() -> None:
    """No other package checks which flavor of Keras it runs under."""
    pattern = r"flavor|is_keras_2|_supports_tf_logs|_implements_"

    assert _lines(pattern, set(ARROWS) - {"_keras", "demo"}) == []
    assert _lines(pattern, {"_keras"})


@pytest.mark.parametrize("home", [name for name in ARROWS if name[0] == "_"])
def test_the_manual_of_a_package_names_its_files(home: str) -> None:
    """The docstring of a package says which file to open for what."""
    modules = sources()
    manual = ast.get_docstring(ast.parse(modules[f"{home}.__init__"])) or ""
    files = {
        name.partition(".")[2] for name in modules if home_of(name) == home
    } - {"__init__"}
    index = manual.partition("Which file to open:")[2]

    assert set(re.findall(r"`(\w+)`", index)) >= files
    for name in re.findall(r"^- `(\w+)`", index, re.MULTILINE):
        assert name in files


def has_logic(source: str) -> bool:
    """Returns whether a module defines a function or a class."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    return any(isinstance(node, kinds) for node in ast.parse(source).body)


def imported_directly(tests: Modules, modules: Modules) -> set[str]:
    """Returns the modules that a test imports which stands where they do.

    Args:
        tests: Dict from the dotted name of a test in `tests/` to its text.
        modules: As `sources` returns it.
    """
    face = importlib.import_module(PACKAGE)
    found = set()
    for test, source in tests.items():
        folder = test.rpartition(".")[0]
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.ImportFrom):
                continue
            for alias in node.names:
                module = _module(f"{node.module}.{alias.name}", modules)
                if module == "__init__":  # a name of the face is at home there
                    module = face._HOMES.get(alias.name, module)
                if module.rpartition(".")[0] == folder:
                    found.add(module)
    return found


def without_a_test(tests: Modules, modules: Modules) -> list[str]:
    """Returns the private modules with logic that no test imports."""
    private = {
        name
        for name, source in modules.items()
        if name[0] == "_" and "__" not in name and has_logic(source)
    }
    return sorted(private - imported_directly(tests, modules))


def all_tests() -> Modules:
    """Returns the text of each file of tests by its dotted name."""
    here = Path(__file__).parent
    return {
        ".".join(path.relative_to(here).with_suffix("").parts): path.read_text(
            encoding="utf-8"
        )
        for path in here.rglob("test_*.py")
    }


def test_each_module_has_a_direct_test() -> None:
    """A private module with logic is imported by a test in its folder."""
    assert without_a_test(all_tests(), sources()) == []


@pytest.mark.parametrize(
    "module", ["_structure", "_keras.phases", "_hooks.callback"]
)
def test_a_module_without_a_direct_test_would_be_found(module: str) -> None:
    """Neither a test elsewhere nor one of another module counts."""
    package, _, name = module.rpartition(".")
    names = (name, "SessionRunHookCallback")
    tests = {
        test: ""
        if test.rpartition(".")[0] == package
        and any(re.search(rf"\b{one}\b", source) for one in names)
        else source
        for test, source in all_tests().items()
    }
    tests["contract.test_new"] = f"from {PACKAGE}.{module} import some"

    assert module in without_a_test(tests, sources())


def test_a_new_module_would_need_a_test() -> None:
    """One that has a function does; one of names alone does not."""
    modules = sources()
    tests = all_tests()

    assert without_a_test(
        tests, modules | {"_keras.new": "def f(): ...", "_keras.bare": "A = 1"}
    ) == ["_keras.new"]


@pytest.mark.parametrize("home", [name for name in ARROWS if name[0] == "_"])
def test_the_tests_of_a_package_stand_in_its_folder(home: str) -> None:
    """`tests/` has a folder for each package, with tests."""
    folder = Path(__file__).parent / home

    assert (folder / "__init__.py").exists()
    assert list(folder.glob("test_*.py"))


def test_the_face_has_all_its_names() -> None:
    """Each public name is there, and a wrong one is an AttributeError."""
    face = importlib.import_module(PACKAGE)

    assert face.__all__ == sorted(face.__all__)
    assert set(face.__all__) <= set(dir(face))
    assert all(hasattr(face, name) for name in dir(face))
    assert not hasattr(face, "Nothing")


def test_contributing_has_the_same_table() -> None:
    """The table that people read is the table that is checked."""
    text = (ROOT.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)/?` \|.*\| (.*) \|$", text, re.MULTILINE)
    table = {
        name: set(re.findall(r"\w+", imports)) - {"nothing"}
        for name, imports in rows
        if name in ARROWS
    }

    assert table == ARROWS
