"""autograd: np.diag of a rectangular matrix has a gradient of the wrong shape."""

import autograd.numpy as np
from autograd import grad

for shape in ((2, 3), (3, 2)):
    print(shape, "gradient of shape", grad(lambda x: np.sum(np.diag(x)))(np.ones(shape)).shape)
