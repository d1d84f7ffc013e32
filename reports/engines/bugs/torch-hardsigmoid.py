"""torch: the gradient of hardsigmoid is 1/6 in float32, also for float64."""

import torch

x = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
torch.nn.functional.hardsigmoid(x).backward()
print("gradient", x.grad.item())
print("right   ", 1 / 6)
