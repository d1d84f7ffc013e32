"""torch: the gradient of ldexp is zero for negative integer exponents."""

import torch

x = torch.tensor([3.0, 3.0], dtype=torch.float64, requires_grad=True)
y = torch.ldexp(x, torch.tensor([-2, 2]))
y.sum().backward()
print("value   ", y.tolist())
print("gradient", x.grad.tolist())
print("right   ", [0.25, 4.0])
