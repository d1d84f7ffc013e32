"""mygrad: the gradient of leaky_relu at 0 lies outside of its one-sided derivatives."""

import mygrad as mg
from mygrad.nnet import leaky_relu

for value in (-1e-300, 0.0, 1e-300):
    x = mg.tensor(value)
    leaky_relu(x, 0.01).backward()
    print(value, "gradient", x.grad)
