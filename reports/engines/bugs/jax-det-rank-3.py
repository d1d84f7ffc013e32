"""jax: the gradient of det at a 4×4 matrix of rank 3 is zero."""

import jax
import jax.numpy as np

jax.config.update("jax_enable_x64", True)
for values in ([0.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0]):
    print(f"diagonal {values}: gradient's diagonal", np.diag(jax.grad(np.linalg.det)(np.diag(np.array(values)))))
print("right: [6. 0. 0.] and [6. 0. 0. 0.]")
