"""torch: matrix_exp loses six digits in float64 for norms just under 0.05."""

import math

import torch

for t in (0.02, 0.04, 0.045, 0.05):
    a = torch.tensor([[0.0, t], [-t, 0.0]], dtype=torch.float64)  # a rotation by t
    print(f"t = {t}: error of exp(A)[0, 1] against sin(t): {torch.matrix_exp(a)[0, 1].item() - math.sin(t):.1e}")
