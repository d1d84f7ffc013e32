"""tensorflow: the gradient of xlog1py and xlogy to x is 0 at x = 0."""

import tensorflow as tf

for name, number in (("xlog1py", 1.0), ("xlogy", 2.0)):
    function = getattr(tf.math, name)
    for at in (0.0, 1e-300):
        x, y = tf.constant(at, tf.float64), tf.constant(number, tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(x)
            z = function(x, y)
        print(name, at, "gradient", float(tape.gradient(z, x)))
