"""torch: nested forward mode of layer_norm, instance_norm and batch_norm has a wrong second derivative."""

import torch
from torch.func import jacfwd, jacrev
from torch.nn import functional

x = torch.tensor([[[1.0, 1.0, 2.0]]], dtype=torch.float64)
functions = {
    "layer_norm": lambda v: functional.layer_norm(v, (3,)).sum(),
    "instance_norm": lambda v: functional.instance_norm(v).sum(),
    "batch_norm": lambda v: functional.batch_norm(v, None, None, training=True).sum(),
    "group_norm": lambda v: functional.group_norm(v, 1).sum(),
}
for name, function in functions.items():
    print(f"largest second derivative of the sum of {name}, which is always 0:")
    print(f"  jacfwd of jacfwd: {jacfwd(jacfwd(function))(x).abs().max():.4f}")
    print(f"  jacfwd of jacrev: {jacfwd(jacrev(function))(x).abs().max():.4f}")
