"""torch: polygamma(1, x) is good to nine digits in float64."""

import mpmath
import torch

x = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
torch.digamma(x).backward()
print("polygamma(1, 1)      ", torch.polygamma(1, x.detach()).item())
print("gradient of digamma  ", x.grad.item())
print("right: pi**2 / 6     ", mpmath.nstr(mpmath.pi**2 / 6, 17))
