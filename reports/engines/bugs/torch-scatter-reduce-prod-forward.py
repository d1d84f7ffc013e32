"""torch: forward mode of scatter_reduce with 'prod' is zero."""

import torch
from torch.func import jvp, vjp

x = torch.tensor([2.0, 3.0], dtype=torch.float64)
one = torch.ones_like(x)
source, index = torch.tensor([5.0], dtype=torch.float64), torch.tensor([0])
product = lambda v: torch.scatter_reduce(v, 0, index, source, "prod")
print("values:       ", product(x).tolist())
print("forward mode: ", jvp(product, (x,), (one,))[1].tolist())
print("backward mode:", vjp(product, x)[1](one)[0].tolist())
