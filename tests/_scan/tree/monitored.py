# SPDX-License-Identifier: Apache-2.0
"""The sessions of v1."""

import tensorflow as tf


def train(train_op, hooks, chief_hooks, init_fn):
    scaffold = tf.train.Scaffold(init_fn=init_fn)
    with tf.train.MonitoredTrainingSession(
        checkpoint_dir="here",
        scaffold=scaffold,
        hooks=hooks,
        chief_only_hooks=chief_hooks,
        save_checkpoint_secs=60,
    ) as session:
        session.run(train_op)


def by_hand(train_op, hooks):
    creator = tf.compat.v1.train.ChiefSessionCreator(checkpoint_dir="here")
    with tf.compat.v1.train.MonitoredSession(creator, hooks) as session:
        session.run(train_op)
    with tf.compat.v1.train.SingularMonitoredSession(hooks=hooks) as session:
        session.run(train_op)
    return tf.train.Supervisor(logdir="there")


def wrapped(hooks=None):
    return by_hand(None, hooks=hooks)
