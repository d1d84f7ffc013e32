"""autograd: the gradient of np.linalg.pinv with a keyword raises TypeError."""

import autograd.numpy as np
from autograd import grad

x = np.array([[2.0]])
print("without", grad(lambda a: np.linalg.pinv(a)[0, 0])(x))
try:
    print("rcond", grad(lambda a: np.linalg.pinv(a, rcond=1e-9)[0, 0])(x))
except TypeError as error:
    print("TypeError:", error)
