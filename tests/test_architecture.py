# SPDX-License-Identifier: Apache-2.0
"""The rooms of the package, and what each may import of the others."""

import ast
import graphlib
import importlib
import re
from pathlib import Path

import pytest

PACKAGE = "final_ops_callback"
ROOT = Path(__file__).parents[1] / PACKAGE
LONGEST = 500

# Data goes down, values come back up: a room knows the rooms that it is made
# of, and never who uses it. A room that outgrows its file is two rooms.
ROOMS: dict[str, set[str]] = {
    # the face
    "__init__": {
        "_final_ops",
        "_hook_callback",
        "_interactive",
        "_runner",
        "_session",
    },
    "__main__": {"_demo"},
    "_demo": {"__init__"},
    "errors": set(),
    "testing": {"errors"},
    # what both halves stand on
    "_structure": set(),
    "_resource": set(),
    "_callback": set(),
    "_stack": set(),
    "_optimizer_stack": {"_stack"},
    "_optimizers": {"_optimizer_stack", "_stack"},
    "_randomness": {"_model", "_optimizer_stack", "_stack"},
    "_step_count": {
        "_model",
        "_optimizer_stack",
        "_optimizers",
        "_resource",
        "_stack",
    },
    "_model": {"_optimizer_stack", "_optimizers", "_stack"},
    "_phases": {"errors"},
    "_to_host": {"_stack", "_structure"},
    # the inside of a step, by name
    "_offers": {"errors"},
    "_step_names": {"_graph", "_live", "_model", "_structure", "errors"},
    "_replicas": {"errors"},
    "_wrapping": set(),
    "_first_trace": {"_model", "_optimizers", "_stack", "_wrapping"},
    "_collect": {
        "_graph",
        "_model",
        "_optimizer_stack",
        "_optimizers",
        "_replicas",
        "_step_names",
        "_wrapping",
        "errors",
    },
    "_stand_in": {"_step_names", "_trace"},
    "_step": {"_collect", "_stack", "_stand_in", "_step_names", "_workers"},
    "_late_lookup": {"_stack"},
    # FinalOpsCallback
    "_last_step": {
        "_late_lookup",
        "_log_names",
        "_model",
        "_stack",
        "_step",
        "_step_names",
        "_training_metrics",
        "errors",
    },
    "_signature": {"_stack"},
    "_symbolic": {"_stack"},
    "_feeds": {"_stack", "_symbolic", "errors"},
    "_leaf_kind": {
        "_feeds",
        "_last_step",
        "_stack",
        "_structure",
        "_symbolic",
        "_to_host",
        "errors",
    },
    "_log_names": {"_model", "_stack"},
    "_name_leaf": {
        "_last_step",
        "_leaf_kind",
        "_log_names",
        "_offers",
        "_stack",
        "_to_host",
        "_training_metrics",
        "errors",
    },
    "_leaves": {
        "_feeds",
        "_leaf_kind",
        "_name_leaf",
        "_signature",
        "_stack",
        "_symbolic",
        "_to_host",
        "_training_metrics",
        "errors",
    },
    "_values": {
        "_feeds",
        "_last_step",
        "_leaf_kind",
        "_leaves",
        "_name_leaf",
        "_stack",
        "_structure",
        "_symbolic",
        "_to_host",
        "errors",
    },
    "_writable": {"errors"},
    "_values_file": {"_structure", "_to_host", "_writable", "errors"},
    "_outlets": {"_structure", "_to_host", "_values_file", "_writable"},
    "_training_metrics": {"_resource", "_stack"},
    "_final_ops": {
        "_callback",
        "_last_step",
        "_late_lookup",
        "_model",
        "_outlets",
        "_phases",
        "_stack",
        "_training_metrics",
        "_values",
        "errors",
    },
    # EagerSession
    "_live": {"_eager", "_resource", "errors"},
    "_graph": {"_live", "_offers", "errors"},
    "_control_flow": set(),
    "_library": {"errors"},
    "_writes": {"_library"},
    "_subgraph": {"_control_flow", "_library", "_writes", "errors"},
    "_eager": set(),
    "_resources": {"_eager", "_live", "_subgraph", "_writes"},
    "_function_def": {"_library"},
    "_op_errors": {"_function_def", "_library"},
    "_program": {
        "_control_flow",
        "_eager",
        "_function_def",
        "_library",
        "_op_errors",
        "_resources",
        "_subgraph",
    },
    "_reads": {"_eager", "_live", "_writes"},
    "_split": {"_control_flow", "errors"},
    "_plan": {
        "_control_flow",
        "_eager",
        "_program",
        "_reads",
        "_resources",
        "_split",
        "_subgraph",
        "_to_host",
        "errors",
    },
    "_trace": set(),
    "_plans": {"_plan", "_resources"},
    "_fed": {"errors"},
    "_session": {"_fed", "_plan", "_plans", "_resources", "_trace", "errors"},
    "_interactive": {"_session"},
    # HookRunner, which knows no Keras
    "_foreign": {"_graph", "errors"},
    "_restore": {"errors"},
    "_calls": {"_foreign", "_graph", "_restore", "errors"},
    "_asking": {"_calls"},
    "_hook_state": set(),
    "_as_made": {"_calls"},
    "_requests": {
        "_eager",
        "_foreign",
        "_graph",
        "_live",
        "_offers",
        "_plan",
        "_session",
        "errors",
    },
    "_counters": {"_calls"},
    "_scaffold": {"_foreign", "_graph", "_restore", "_session", "errors"},
    "_begun": {"_calls", "_counters", "_graph", "_scaffold", "_session"},
    "_runner": {
        "_begun",
        "_calls",
        "_graph",
        "_live",
        "_offers",
        "_requests",
        "_session",
        "errors",
    },
    # SessionRunHookCallback
    "_model_state": {
        "_graph",
        "_live",
        "_model",
        "_optimizer_stack",
        "_optimizers",
        "_stack",
        "errors",
    },
    "_hook_run": {
        "_asking",
        "_first_trace",
        "_graph",
        "_live",
        "_model",
        "_model_state",
        "_offers",
        "_optimizers",
        "_randomness",
        "_resource",
        "_runner",
        "_stack",
        "_stand_in",
        "_step",
        "_step_count",
        "_step_names",
        "_values_now",
        "_workers",
        "errors",
    },
    "_workers": {"errors"},
    "_hook_callback": {
        "_as_made",
        "_callback",
        "_calls",
        "_hook_run",
        "_hook_state",
        "_late_lookup",
        "_offers",
        "_phases",
        "_stack",
        "_step",
        "_workers",
        "errors",
    },
    "_values_now": {
        "_eager",
        "_graph",
        "_model",
        "_offers",
        "_stack",
        "_step_names",
        "errors",
    },
}

# What runs hooks knows no Keras, so that any training loop can drive it.
NO_KERAS = (
    "_live",
    "_graph",
    "_subgraph",
    "_program",
    "_plan",
    "_session",
    "_runner",
)


def imports_of(source: str) -> set[str]:
    """Returns the rooms that a source file imports, also inside functions."""
    rooms = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise ValueError("import the package by its name")
        elif isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
            names = [f"{PACKAGE}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        for name in names:
            package, _, room = name.partition(".")
            if package == PACKAGE:
                # The face's own names are imported from the face.
                known = room.partition(".")[0]
                rooms.add(known if _is_room(known) else "__init__")
    return rooms


def _is_room(name: str) -> bool:
    return bool(name) and (ROOT / f"{name}.py").exists()


def sources() -> dict[str, str]:
    """Returns the text of each module of the package."""
    return {
        path.relative_to(ROOT).with_suffix("").as_posix(): path.read_text(
            encoding="utf-8"
        )
        for path in ROOT.rglob("*.py")
    }


def faults(modules: dict[str, str], rooms: dict[str, set[str]]) -> list[str]:
    """Returns a sentence for each way in which the table is not kept."""
    found = [f"{name} is no room" for name in modules.keys() - rooms.keys()]
    found += [f"{name} is no module" for name in rooms.keys() - modules.keys()]
    for name in modules.keys() & rooms.keys():
        imported = imports_of(modules[name])
        found += [f"{name} imports {other}" for other in imported - rooms[name]]
        found += [
            f"{name} does not import {other}"
            for other in rooms[name] - imported
        ]
        length = len(modules[name].splitlines())
        if length > LONGEST:
            found.append(f"{name} has {length} lines")
    return sorted(found)


def test_the_table_of_rooms_is_kept() -> None:
    """Each module is a room, imports what it may, and is short."""
    assert faults(sources(), ROOMS) == []


def test_a_room_never_leads_back_to_itself() -> None:
    """The rooms can be put in an order in which each knows earlier ones."""
    order = list(graphlib.TopologicalSorter(ROOMS).static_order())

    assert set(order) == set(ROOMS)


def test_a_circle_of_rooms_would_be_found() -> None:
    """Two rooms that import each other have no order."""
    circle = graphlib.TopologicalSorter({"a": {"b"}, "b": {"a"}})

    with pytest.raises(graphlib.CycleError):
        list(circle.static_order())


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (f"from {PACKAGE} import _final_ops", "errors imports _final_ops"),
        (f"from {PACKAGE}._stack import components", "errors imports _stack"),
        (f"import {PACKAGE}._values", "errors imports _values"),
        (
            f"def f():\n    from {PACKAGE} import _feeds",
            "errors imports _feeds",
        ),
        (f"from {PACKAGE} import FinalOpsCallback", "errors imports __init__"),
        ("\n" * (LONGEST + 1), f"errors has {LONGEST + 1} lines"),
    ],
)
def test_a_broken_room_would_be_found(source: str, fault: str) -> None:
    """Another import, or too many lines, is a fault that names the room."""
    found = faults(sources() | {"errors": source}, ROOMS)

    assert set(found) - set(faults(sources(), ROOMS)) == {fault}


def test_a_module_without_a_room_would_be_found() -> None:
    """A new module and a room without one are faults."""
    modules = sources() | {"_new": ""}
    del modules["errors"]

    found = faults(modules, ROOMS)

    assert set(found) - set(faults(sources(), ROOMS)) == {
        "_new is no room",
        "errors is no module",
    }


@pytest.mark.parametrize("name", NO_KERAS)
def test_the_runner_knows_no_keras(name: str) -> None:
    """The rooms up to the runner import no Keras."""
    imports = [
        alias.name
        for node in ast.walk(ast.parse(sources()[name]))
        if isinstance(node, ast.Import)
        for alias in node.names
    ]

    assert "keras" not in imports


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
    rows = re.findall(r"^\| `(\w+)\.py` \|.*\| (.*) \|$", text, re.MULTILINE)
    table = {
        name: set(re.findall(r"\w+", imports)) - {"nothing"}
        for name, imports in rows
    }

    assert table == ROOMS
