"""jax: the gradient of x ** 0.0 at 0 is nan."""

import jax

jax.config.update("jax_enable_x64", True)
print("grad of x ** 0.0 at 0:", jax.grad(lambda x: x**0.0)(0.0))
print("grad of x ** 0   at 0:", jax.grad(lambda x: x**0)(0.0))
