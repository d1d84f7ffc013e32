"""torch: lp_pool counts elements beyond the edge when ceil_mode is set."""

import torch
from torch.nn import functional

x = torch.ones(1, 1, 3, 3, dtype=torch.float64, requires_grad=True)
pooled = functional.lp_pool2d(x, 2, 2, ceil_mode=True)
print("lp_pool2d of ones, windows of 4, 2, 2 and 1 elements:", pooled.flatten().tolist())
pooled.sum().backward()
print("gradient of the only element of the last window:", x.grad[0, 0, 2, 2].item())
