# SPDX-License-Identifier: Apache-2.0
"""The script that counts the functions of a value counts something."""

import pytest

from tests import roads

pytestmark = pytest.mark.slow


def test_a_fetch_stays_on_a_short_road() -> None:
    """What a hook gets of a steady step goes through few modules."""
    *_, steady = roads.roads_of_the_loss()

    assert len(steady.modules) <= 10, steady.way
    # The call of the step goes through two modules, which make it shorter.
    assert steady.changes <= 26, steady.way


def test_a_leaf_stays_on_a_short_road() -> None:
    """A variable as a leaf goes through few modules."""
    road = roads.road_of_a_leaf()

    assert len(road.modules) <= 8, road.way


def test_a_steady_step_goes_a_shorter_way_than_the_first() -> None:
    """Later steps don't repeat the preparations of the first step."""
    first, *_, steady = roads.roads_of_the_loss()

    assert "_step/step_function" in steady.modules
    assert steady.modules < first.modules
    assert steady.changes < first.changes


def test_a_leaf_goes_through_nothing_of_the_graph_half() -> None:
    """A variable is evaluated without any session or hook."""
    road = roads.road_of_a_leaf()
    packages = {module.partition("/")[0] for module in road.modules}

    assert "_final_ops" in packages
    assert not packages & {"_session", "_hooks", "_step"}
