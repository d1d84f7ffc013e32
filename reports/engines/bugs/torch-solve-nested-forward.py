"""torch: nested forward mode of linalg.solve has half the second derivative."""

import torch
from torch.func import jacfwd, jacrev

x = torch.tensor([[2.0]], dtype=torch.float64)
one = torch.ones(1, dtype=torch.float64)
inverse = lambda m: torch.linalg.solve(m, one)
print("second derivative at 2 of solve(x, 1), which is 1/x:")
print("  jacfwd of jacfwd:", jacfwd(jacfwd(inverse))(x).item())
print("  jacrev of jacfwd:", jacrev(jacfwd(inverse))(x).item())
print("  jacfwd of jacrev:", jacfwd(jacrev(inverse))(x).item())
