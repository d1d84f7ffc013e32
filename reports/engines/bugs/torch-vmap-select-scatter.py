"""torch: the gradient of a vmapped select_scatter into a constant is that of the whole batch."""

import torch
from torch.func import grad, vmap

constant = torch.ones(1, 2, dtype=torch.float64)


def squares(x):
    return torch.select_scatter(constant, x, 1, 1).square()


x = torch.ones(1, dtype=torch.float64)
print("without", grad(lambda x: torch.stack([squares(x), squares(x)])[0].sum())(x).item())
print("vmap   ", grad(lambda x: vmap(squares)(torch.stack([x, x]))[0].sum())(x).item())
print("vmap   ", grad(lambda x: vmap(squares)(torch.stack([x, x, x]))[0].sum())(x).item())
