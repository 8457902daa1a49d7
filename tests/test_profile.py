# SPDX-License-Identifier: Apache-2.0
"""The trace of a run is in the form of v1's."""

import pytest
import tensorflow as tf

from final_ops_callback import _profile

v1 = tf.compat.v1


@pytest.mark.parametrize(
    ("plane", "device"),
    [
        ("/host:CPU", "CPU:0"),
        ("/device:GPU:1", "GPU:1"),
        ("/device:TPU:2 (pid 3)", "TPU:2"),
    ],
)
def test_a_device_has_its_name_of_v1(plane: str, device: str) -> None:
    """TensorFlow itself can read it."""
    name = _profile._device(plane)
    spec = tf.DeviceSpec.from_string(name)

    assert f"{spec.device_type}:{spec.device_index}" == device
    assert (spec.job, spec.replica, spec.task) == ("localhost", 0, 0)


def test_each_message_is_filled() -> None:
    """Several hooks may ask for the trace of one step."""
    messages = v1.RunMetadata(), v1.RunMetadata()
    with _profile.traced_into(*messages):
        tf.linalg.matmul(tf.ones([9, 9]), tf.ones([9, 9])).numpy()
    first, second = (message.step_stats for message in messages)

    assert first == second
    for device in first.dev_stats:
        for node in device.node_stats:
            assert node.op_end_rel_micros >= 1
            assert node.timeline_label.startswith(f"{node.node_name} = ")


def test_a_second_profiler_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """What runs in it runs, and its message stays empty."""
    inner, ran = v1.RunMetadata(), []
    with _profile.traced_into(v1.RunMetadata()):
        with _profile.traced_into(inner):
            ran.append(float(tf.constant(1.0) + 1.0))

    assert ran == [2.0]
    assert "Another profiler is running" in caplog.text
    assert not inner.step_stats.dev_stats


def test_the_profiler_stops_after_an_error() -> None:
    """The next trace can begin."""

    def fail() -> None:
        with _profile.traced_into(v1.RunMetadata()):
            raise ValueError("in the step")

    for _ in range(2):
        with pytest.raises(ValueError, match="in the step"):
            fail()
    with _profile.traced_into(v1.RunMetadata()):
        assert float(tf.constant(1.0)) == 1.0
