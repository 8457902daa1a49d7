# SPDX-License-Identifier: Apache-2.0
"""What step tensors are worth outside of a step."""

from typing import Any

import pytest

from final_ops_callback._hooks.values_now import ValuesNow
from final_ops_callback.errors import StepTensorError
from tests import models
from tests.flavors import FLAVORS
from tests.flavors import to_numpy

flavors = pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)


class Names:
    """Has an output that is taken out of the step, and nothing else."""

    def taken(self, names: list[str]) -> dict[str, str]:
        return {name: "taken" for name in names if name == "output"}


def values_of(model: Any, phase: str = "train") -> Any:
    """Returns the values of a model whose step may deliver an output."""
    return ValuesNow(model, phase, Names())  # type: ignore[arg-type]


def test_a_kept_value_is_that_of_the_last_step() -> None:
    """What an earlier step delivered is gone."""
    values = values_of(models.tiny_model())
    values.has_run = True
    values.note_step({"output": 1.0, "other": 2.0})
    assert values(["other"]) == {"other": 2.0}
    values.note_step({"output": 3.0})

    assert values(["output"]) == {"output": 3.0}
    with pytest.raises(StepTensorError, match="no step logs 'other'"):
        values(["other"])


def test_before_a_step_there_is_no_value() -> None:
    """The error says when to ask."""
    values = values_of(models.tiny_model())
    for name in ("output", "nothing"):
        with pytest.raises(StepTensorError, match="no step has run"):
            values([name])


def test_what_nobody_asked_the_step_for_is_not_there() -> None:
    """The error says how to ask."""
    values = values_of(models.tiny_model())
    values.has_run = True
    values.note_step({})
    with pytest.raises(StepTensorError, match="last step was not asked"):
        values(["output"])


@flavors
def test_a_log_comes_before_a_metric(flavor: Any) -> None:
    """A metric of the model is its result now."""
    model = models.tiny_model(flavor)
    history = models.fit(model)
    values = values_of(model)
    assert float(values(["mae"])["mae"]) == pytest.approx(history["mae"][-1])
    values.outputs = {"mae": 7.0}

    assert values(["mae", "logs/mae"]) == {"mae": 7.0, "logs/mae": 7.0}


@flavors
def test_the_rate_is_there_in_fit_alone(flavor: Any) -> None:
    """Also before a step."""
    model = models.tiny_model(flavor)
    found = values_of(model)(["learning_rate"])["learning_rate"]

    assert float(to_numpy(found)) == pytest.approx(0.1)
    with pytest.raises(StepTensorError, match="no step has run"):
        values_of(model, "test")(["learning_rate"])


def test_values_are_let_go() -> None:
    """After it, what was there is not."""
    values = values_of(models.tiny_model())
    values.has_run = True
    values.note_step({"output": 1.0})
    values.outputs = {"extra": 1.0}
    values.forget()
    for name in ("output", "extra"):
        with pytest.raises(StepTensorError, match=r"not asked|no step logs"):
            values([name])
