"""mygrad: relu of −inf is nan."""

import mygrad as mg
from mygrad.nnet import relu

print("relu(-inf):", relu(mg.tensor(float("-inf"))).item())
