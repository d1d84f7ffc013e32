"""autograd: np.where with a scalar branch gives a gradient of the wrong shape."""

import autograd.numpy as np
from autograd import grad

x = 2.0
print("gradient", grad(lambda x: np.sum(np.where(True, x, np.array([0.0, 1.0]))))(x))
