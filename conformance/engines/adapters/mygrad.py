"""MyGrad: numpy's functions on tensors of its own, one backward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mygrad as mg
import numpy as np
from mygrad import nnet

from conformance.engines.adapters import numpy_names
from conformance.engines.adapters.numpy_names import unsupported
from conformance.engines.adapters.recording import offered, same_floats
from conformance.engines.protocol import Engine, Unsupported


class MyGrad(Engine):
    """MyGrad. It has one order and one backward: a graph is cleared by its backward, a gradient by the next use."""

    name = "mygrad"

    def __init__(self) -> None:
        table = numpy_names.functions(mg)
        for name in _WITHOUT.split():
            table.pop(name, None)
        self.table: Mapping[str, Callable[..., Any]] = table | _MORE

    @property
    def version(self) -> str:
        return str(mg.__version__)

    def supports(self, op: str) -> bool:
        return op in self.table

    def leaf(self, array: Any, requires_grad: bool) -> Any:
        return mg.tensor(array, constant=not requires_grad) if array.dtype.kind == "f" else array

    def apply(self, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if op not in self.table:
            raise Unsupported(op)
        same_floats(x.dtype.name for x in _flat((*args, *kwargs.values())) if isinstance(x, (mg.Tensor, np.ndarray)))
        with offered("non-constant", takes=True):  # MyGrad refuses what has no derivative
            return self.table[op](*args, **kwargs)

    def backward(self, value: Any, gradient: Any) -> None:
        value.backward(None if gradient is None else gradient.data)

    def backward_all(self, roots: Any, gradients: Any, retain_graph: Any, create_graph: Any, inputs: Any) -> None:
        if len(roots) > 1 or retain_graph or create_graph or inputs is not None:
            raise Unsupported("a graph that is used again: backward clears it")
        self.backward(roots[0], gradients[0])

    def grad(self, value: Any) -> Any:
        return None if value.grad is None else mg.tensor(value.grad, constant=True)

    def numpy(self, value: Any) -> Any:
        return np.asarray(value.data if isinstance(value, mg.Tensor) else value)

    def detach(self, value: Any) -> Any:
        return mg.tensor(value.data, constant=True)

    def grad_mode(self, mode: str) -> Any:
        return mg.no_autodiff if mode == "no_grad" else unsupported(mode)


def _flat(items: Sequence[Any]) -> list[Any]:
    return [x for item in items for x in (_flat(item) if isinstance(item, (tuple, list)) else (item,))]


#: numpy-like names whose arguments differ in MyGrad, or that it refuses for whatever has a gradient.
_WITHOUT = """
median floor ceil trunc frac sign sgn remainder fmod floor_divide split_with_sizes
nuclear_norm linalg.norm linalg.matrix_norm
"""


def _along(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, dim=None: function(x, axis=dim) if x.ndim and dim is not None else unsupported("a 0-d value")


_MORE: dict[str, Callable[..., Any]] = {
    "sigmoid": nnet.sigmoid,
    "relu": nnet.relu,
    "nn.functional.relu": nnet.relu,
    "softmax": _along(nnet.softmax),
    "log_softmax": _along(nnet.logsoftmax),
    "nn.functional.softmax": _along(nnet.softmax),
    "nn.functional.log_softmax": _along(nnet.logsoftmax),
    "nn.functional.elu": lambda x, alpha=1.0: nnet.elu(x, alpha),
    "nn.functional.leaky_relu": lambda x, negative_slope=0.01: nnet.leaky_relu(x, negative_slope),
    "nn.functional.selu": nnet.selu,
    "nn.functional.softsign": nnet.soft_sign,
    "nn.functional.hardtanh": lambda x, min_val=-1.0, max_val=1.0: nnet.hard_tanh(
        x, lower_bound=min_val, upper_bound=max_val
    ),
    "nn.functional.glu": lambda x, dim: nnet.glu(x, axis=dim),
    "linalg.vector_norm": lambda x, ord, dim=None, keepdim=False: (
        mg.linalg.norm(x, ord, dim, keepdims=keepdim) if isinstance(dim, int) and x.ndim else unsupported("dimensions")
    ),
    "linalg.multi_dot": lambda xs: mg.multi_matmul(xs),
}
