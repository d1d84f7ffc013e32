"""autograd: np.linalg.norm(x, inf) has the gradient nan."""

import autograd.numpy as np
from autograd import grad

print("gradient", grad(lambda x: np.linalg.norm(x, np.inf))(np.array([1.0, 2.0, 3.0])))
