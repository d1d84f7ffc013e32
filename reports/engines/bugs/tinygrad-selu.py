"""tinygrad: selu's constants are cut at five decimals."""

import os

os.environ.setdefault("DEV", "PYTHON")
from tinygrad import Tensor

alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
print("selu(1)       ", Tensor([1.0]).selu().item())
print("right: scale  ", scale)
print("selu(-100)    ", Tensor([-100.0]).selu().item())
print("right         ", -scale * alpha)
