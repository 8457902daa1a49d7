# SPDX-License-Identifier: Apache-2.0
"""Sessions that evaluate, and one of which nobody can tell."""

import tensorflow.compat.v1 as tf


def measure(labels, logits, xent, train_dir):
    accuracy, update = tf.metrics.accuracy(labels, tf.argmax(logits, 1))
    mean_loss, update_loss = tf.metrics.mean(xent)
    final = tf.train.FinalOpsHook({"accuracy": accuracy, "xent": mean_loss})
    state = tf.train.get_checkpoint_state(train_dir)
    for path in state.all_model_checkpoint_paths:
        creator = tf.train.ChiefSessionCreator(
            checkpoint_filename_with_path=path
        )
        with tf.train.MonitoredSession(creator, hooks=[final]) as session:
            while not session.should_stop():
                session.run([update, update_loss])
    return final.final_ops_values


def latest(labels, logits, folder):
    value, update = tf.metrics.accuracy(labels, tf.argmax(logits, 1))
    with tf.train.SingularMonitoredSession(checkpoint_dir=folder) as session:
        while not session.should_stop():
            session.run(update)


def whatever(op, folder, hooks):
    creator = tf.train.ChiefSessionCreator(checkpoint_dir=folder)
    with tf.train.MonitoredSession(creator, hooks) as session:
        session.run(op)


def learn(xent, penalty, optimizer, folder):
    loss = xent + penalty
    train_op = optimizer.minimize(loss)
    mean_loss, _ = tf.metrics.mean(loss)
    finals = tf.train.FinalOpsHook([xent, loss, mean_loss])
    with tf.train.SingularMonitoredSession(
        [finals], checkpoint_dir=folder
    ) as session:
        session.run(train_op)
