"""tensorflow: gelu and leaky_relu of float64 compute with constants rounded to float32."""

import math

import tensorflow as tf

x = tf.constant(1.0, tf.float64)
print("gelu(1)", tf.nn.gelu(x).numpy(), "right", 0.5 * (1 + math.erf(1 / math.sqrt(2))))
print("leaky_relu(-1, 0.01)", tf.nn.leaky_relu(-x, 0.01).numpy())
