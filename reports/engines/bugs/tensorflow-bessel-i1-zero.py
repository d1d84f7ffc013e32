"""tensorflow: the gradient of bessel_i1 at 0 is 1."""

import tensorflow as tf

for number in (0.0, 1e-9):
    x = tf.constant(number, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.math.bessel_i1(x)
    print(number, "gradient", tape.gradient(y, x).numpy())
