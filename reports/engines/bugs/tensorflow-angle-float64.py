"""tensorflow: experimental.numpy.angle of float64 is float32."""

import tensorflow as tf

x = tf.constant(-1.0, tf.float64)
print(tf.experimental.numpy.angle(x))
print(tf.math.angle(x))
