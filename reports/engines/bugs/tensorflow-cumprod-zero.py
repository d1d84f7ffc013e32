"""tensorflow: the gradient of cumprod is zero or nan after an element that is zero."""

import tensorflow as tf

x = tf.constant([0.0, 2.0, 3.0], tf.float64)
with tf.GradientTape() as tape:
    tape.watch(x)
    y = tf.reduce_sum(tf.math.cumprod(x))
print("gradient", tape.gradient(y, x).numpy())
