# SPDX-License-Identifier: Apache-2.0
"""All that a restore will do, checked before it does anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback._checkpoints.lost import dropped_momentum
from final_ops_callback._checkpoints.matching import GUESSES
from final_ops_callback._checkpoints.matching import match
from final_ops_callback._checkpoints.model_state import ModelState
from final_ops_callback._checkpoints.model_state import Slot
from final_ops_callback._checkpoints.name_map import APART
from final_ops_callback._checkpoints.name_map import NameMap
from final_ops_callback._checkpoints.reader import Checkpoint
from final_ops_callback._checkpoints.reader import Spec
from final_ops_callback._checkpoints.report import RestoreReport
from final_ops_callback._checkpoints.step import find_step
from final_ops_callback._keras.optimizer_slots import AVERAGE
from final_ops_callback._keras.optimizer_slots import KINDS
from final_ops_callback.errors import CheckpointError


class Plan:
    """All that a restore will do, checked.

    Args:
        state: The state of the model.
        checkpoint: The open checkpoint.
        names: The map of the user.
        average: String. The name of moving averages; empty to restore none.

    Raises:
        CheckpointError: The checkpoint does not fit the model.
        ArgumentError: `names` does not fit the model.
    """

    def __init__(
        self,
        state: ModelState,
        checkpoint: Checkpoint,
        names: NameMap,
        average: str,
    ) -> None:
        self._state, self._checkpoint, self._names = state, checkpoint, names
        self._there = checkpoint.specs
        self._where = f"path={checkpoint.prefix}"
        self._notes: list[str] = []
        names.check_keys(state.known_paths(), self._there)
        state.check_slots()
        specs = state.specs()
        self._matches = match(
            specs, self._candidates(average), names, self._where
        )
        self._sources = self._weights(specs, average)
        self._slots = self._slot_sources(specs)
        self._notes += dropped_momentum(state, checkpoint, self._slots)
        self._step = find_step(state, checkpoint, names)
        self._notes += self._step.notes

    def _candidates(self, average: str) -> dict[str, Spec]:
        """Returns what may be a weight: no step, no power, no slot."""
        there = self._there
        others = set(map(self._names.name, APART))
        found: dict[str, Spec] = {}
        for name, spec in there.items():
            owner, _, last = name.rpartition("/")
            if last == average and average:
                found.setdefault(owner, spec)
            elif last == AVERAGE:
                continue
            elif name not in others and owner not in there:
                found[name] = spec
        # A name below that of another tensor is a slot of it, unless it is
        # just the name of a weight.
        return found | {
            name: there[name]
            for name in map(self._names.name, self._state.weights)
            if name and name in there
        }

    def _weights(
        self, specs: Mapping[str, Spec], average: str
    ) -> dict[str, str]:
        trained = set(self._state.trained_paths())
        found = {}
        for path, (name, _) in self._matches.items():
            averaged = f"{name}/{average}"
            if average and averaged in self._there:
                name = averaged
            elif average and path in trained:
                raise CheckpointError(
                    f"the checkpoint has no moving average {averaged!r}",
                    self._where,
                    "Use moving_averages=False, or name the "
                    "ExponentialMovingAverage that v1 used.",
                )
            self._check_fit(path, specs[path], name)
            found[path] = name
        return found

    def _slot_sources(
        self, specs: Mapping[str, Spec]
    ) -> list[tuple[Slot, str]]:
        found: list[tuple[Slot, str]] = []
        missing: list[str] = []
        for path, slots in self._slots_by_weight().items():
            pairs = self._named_by_v1(path, slots)
            # Also if Keras does not keep a slot: without it, the other slots
            # of v1 mean something else.
            less = [name for _, name in pairs if name not in self._there]
            if less:
                pairs = self._named_by_hooks(slots)
                missing += [] if pairs else less
            found += pairs
        if missing:
            raise self._no_slots(missing, bool(found))
        for slot, name in found:
            label = f"{slot.path}{slot.suffix}"
            self._check_fit(label, specs[slot.path], name)
        self._check_no_more_slots()
        return found

    def _slots_by_weight(self) -> dict[str, list[Slot]]:
        """Returns the slots of the weights that are restored."""
        found: dict[str, list[Slot]] = {}
        for slot in self._state.slots():
            if slot.path in self._matches:
                found.setdefault(slot.path, []).append(slot)
        return found

    def _named_by_v1(
        self, path: str, slots: list[Slot]
    ) -> list[tuple[Slot, str]]:
        owner = self._matches[path].name
        return [(slot, f"{owner}{slot.suffix}") for slot in slots]

    def _named_by_hooks(self, slots: list[Slot]) -> list[tuple[Slot, str]]:
        """Returns the names in a checkpoint of a hook, or none of them."""
        kept = [slot for slot in slots if slot.variable is not None]
        pairs = [(slot, self._state.graph_path(slot)) for slot in kept]
        return pairs if all(name in self._there for _, name in pairs) else []

    def _no_slots(self, missing: list[str], has_some: bool) -> CheckpointError:
        others = self._other_slots()
        if all(name.endswith(f"/{AVERAGE}") for name in missing):
            return CheckpointError(
                "the checkpoint lacks moving averages, which the optimizer of "
                f"the model keeps: {_listed(missing)}",
                self._where,
                "Compile with use_ema=False, or use slots=False.",
            )
        known = sorted(others & {kind.v1 for kind in KINDS})
        if has_some:
            way_out = (
                "It has those of other weights: freeze the layers that v1 did "
                "not train (layer.trainable = False) and compile again, or use "
                "slots=False."
            )
        elif known:
            way_out = (
                f"It has those of {known}: compile with that optimizer, or use "
                "slots=False."
            )
        elif others:
            way_out = (
                f"It has slots called {sorted(others)}: if that is the name of "
                "the same optimizer, pass it as optimizer_name=; else use "
                "slots=False."
            )
        else:
            way_out = "Use slots=False to start with new ones."
        return CheckpointError(
            "the checkpoint lacks slots of the optimizer: " + _listed(missing),
            self._where,
            way_out,
        )

    def _other_slots(self) -> set[str]:
        """Returns the names of optimizers that slots in the checkpoint have."""
        found = set()
        for name, _ in self._matches.values():
            for other in self._there:
                owner, _, last = other.rpartition("/")
                if owner == name and other not in self._sources.values():
                    stem, counted, number = last.rpartition("_")
                    is_numbered = counted and number.isdecimal()
                    found.add(stem if is_numbered else last)
        return found - {AVERAGE}

    def _check_no_more_slots(self) -> None:
        """Checks that v1's optimizer had no more slots than this one.

        A centered RMSProp had another slot in second place.
        """
        kind = self._state.kind
        if kind is None or not kind.slots:
            return
        count = len(kind.slots)
        for name, _ in self._matches.values():
            more = f"{name}/{self._state.slot_name}_{count}"
            if more in self._there and more not in self._sources.values():
                raise CheckpointError(
                    f"the checkpoint has {more!r}: v1's optimizer had more "
                    f"slots for each weight than the {count} of "
                    f"{kind.keras} as it was compiled",
                    self._where,
                    "Compile it with the options of v1's optimizer "
                    "(centered=True of RMSprop), or use slots=False.",
                )

    def _check_fit(self, path: str, ours: Spec, name: str) -> None:
        theirs = self._there[name]
        if ours.shape != theirs.shape:
            raise CheckpointError(
                f"{name!r} has the shape {theirs.shape} in the checkpoint, and "
                f"{path!r} has {ours.shape} in the model",
                self._where,
                "Is it the checkpoint of another model?",
            )
        if ours.dtype == theirs.dtype:
            return
        if not _is_exact(theirs.dtype, ours.dtype):
            raise CheckpointError(
                f"{name!r} is {theirs.dtype.name} in the checkpoint, and "
                f"{path!r} is {ours.dtype.name} in the model, which can't hold "
                "all its values",
                self._where,
                f"Make the layer with dtype={theirs.dtype.name!r}.",
            )
        self._notes.append(
            f"{name} was {theirs.dtype.name} in the checkpoint, and is "
            f"{ours.dtype.name} in the model."
        )

    def report(self) -> RestoreReport:
        """Returns what the restore does, on both sides."""
        restored = dict(self._sources)
        restored |= {
            f"{slot.path}{slot.suffix}": name
            for slot, name in self._slots
            if slot.variable is not None
        }
        used = {*restored.values(), *(name for _, name in self._slots)}
        used.add(self._step.name)
        used |= {self._names.name(key) or "" for key in self._state.betas}
        kept = [p for p in self._state.weights if p not in restored]
        kept += [
            f"{slot.path}{slot.suffix}"
            for slot in self._state.slots()
            if slot.variable and f"{slot.path}{slot.suffix}" not in restored
        ]
        return RestoreReport(
            self._checkpoint.prefix,
            self._step.step,
            restored,
            {p: how for p, (_, how) in self._matches.items() if how in GUESSES},
            tuple(kept),
            tuple(name for name in self._there if name not in used),
            (*self._notes, *self._slot_notes(used)),
        )

    def _slot_notes(self, used: set[str]) -> list[str]:
        own = self._state.slot_name if self._state.slots() else ""
        left = {
            kind.v1
            for kind in KINDS
            if kind.v1 != own
            for match_ in self._matches.values()
            if (name := f"{match_.name}/{kind.v1}") in self._there
            and name not in used
        }
        if not left or not self._state.has_slots:
            return []
        return [
            f"The checkpoint has slots of {', '.join(sorted(left))}, which the "
            "optimizer of the model does not keep."
        ]

    def read(self) -> dict[str, Any]:
        """Reads all that will be written, by its name in the checkpoint."""
        names = {*self._sources.values(), *(name for _, name in self._slots)}
        return {name: self._checkpoint.read(name) for name in sorted(names)}

    def write(self, values: Mapping[str, Any]) -> None:
        """Writes the values to the model."""
        self._state.build_slots()
        for path, name in self._sources.items():
            self._state.write(self._state.weights[path], values[name])
        if self._step.step is not None:
            self._state.write_step(self._step.step)
        for slot, name in self._slots:
            if slot.variable is not None:
                self._state.write_slot(slot.variable(), values[name])


def _is_exact(source: tf.DType, target: tf.DType) -> bool:
    """Returns whether a dtype holds all values of another one."""
    if source.is_floating and target.is_floating:
        return source.size < target.size
    if source.is_integer and target.is_integer:
        return source.min >= target.min and source.max <= target.max
    return False


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(map(repr, names[:4])) + more
