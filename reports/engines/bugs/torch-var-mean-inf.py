"""torch: var_mean gives a mean of nan where the mean is inf."""

import torch

x = torch.tensor([1.0, float("inf"), 2.0], dtype=torch.float64)
print("var_mean(x)[1]", torch.var_mean(x)[1].item())
print("x.mean()      ", x.mean().item())
