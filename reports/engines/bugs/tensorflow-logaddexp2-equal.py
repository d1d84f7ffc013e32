"""tensorflow: the gradients of experimental.numpy.logaddexp and logaddexp2 are 1 and 0 at a tie."""

import tensorflow as tf
import tensorflow.experimental.numpy as tnp

for name in ("logaddexp2", "logaddexp"):
    x, y = tf.constant(1.0, tf.float64), tf.constant(1.0, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch([x, y])
        z = getattr(tnp, name)(x, y)
    print(name, "gradients", [float(g) for g in tape.gradient(z, [x, y])])
