"""autograd: np.dstack drops the gradient, unless a reduction follows."""

import warnings

import autograd.numpy as np
from autograd import make_vjp

warnings.simplefilter("ignore")  # "Output seems independent of input."
back, _ = make_vjp(lambda x: np.dstack((x, x)))(np.array([1.0, 2.0]))
print("gradient", back(np.ones((1, 2, 2))))
