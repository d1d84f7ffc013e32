"""torch: forward mode of x.mul_(x) counts the new value for one of the factors."""

import torch
from torch.func import jvp


def in_place(x):
    y = x.clone()
    return y.mul_(y)


two, one = torch.tensor(2.0, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)
print("derivative of x·x at 2, by x * x:  ", jvp(lambda x: x * x, (two,), (one,))[1].item())
print("derivative of x·x at 2, by mul_(x):", jvp(in_place, (two,), (one,))[1].item())
