"""autograd: np.sinc has the gradient nan at 0."""

import autograd.numpy as np
from autograd import grad

print("gradient", grad(np.sinc)(0.0))
