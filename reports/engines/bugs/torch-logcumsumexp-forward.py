"""torch: forward mode of logcumsumexp is off by 1e-13 in float64."""

import torch
from torch.func import jvp

x = torch.tensor([1.0], dtype=torch.float64)
print(repr(jvp(lambda v: torch.logcumsumexp(v, 0), (x,), (torch.ones_like(x),))[1].item()))
