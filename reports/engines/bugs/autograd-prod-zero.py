"""autograd: np.prod has the gradient nan where an element is zero."""

import autograd.numpy as np
from autograd import grad

print("gradient", grad(np.prod)(np.array([0.0, 2.0, 3.0])))
