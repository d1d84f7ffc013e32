"""tensorflow: experimental.numpy.sinc has the gradient nan at 0."""

import tensorflow as tf

x = tf.constant(0.0, tf.float64)
with tf.GradientTape() as tape:
    tape.watch(x)
    y = tf.experimental.numpy.sinc(x)
print("value", y.numpy(), "gradient", tape.gradient(y, x).numpy())
