"""PyTorch's tutorial on Variables: one source, run under torch and under minigrad, prints one text."""

import contextlib
import io
from types import ModuleType

import torch

import minigrad
from conformance.behaviour import normalise

TUTORIAL = """
x = Variable(torch.ones(2, 2), requires_grad=True)
print(x)
print(x.data, x.grad, x.grad_fn, x.is_leaf)

y = x + 2
print(y)
print(y.grad_fn)

z = y * y * 3
out = z.mean()
print(z, out)
print(out.grad_fn, out.grad_fn.next_functions)

out.backward()
print(x.grad)

x = Variable(torch.tensor([0.25, -1.5, 0.75]), requires_grad=True)
y = x * 2
while y.data.norm() < 1000:
    y = y * 2
print(y)

gradients = torch.FloatTensor([0.1, 1.0, 0.0001])
y.backward(gradients)
print(x.grad)

w = Variable(torch.ones(2, 2))
print(w.requires_grad, (w + w).grad_fn, (w + x[0]).requires_grad)
try:
    out.backward()
    out.backward()
except RuntimeError as error:
    print(error)
"""


def printed(module: ModuleType) -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(TUTORIAL, {"torch": module, "Variable": module.autograd.Variable})
    return normalise(output.getvalue(), module.__name__)


def test_the_variable_tutorial_prints_the_same_under_both() -> None:
    expected = printed(torch)
    assert expected.startswith("tensor([[1., 1.],\n        [1., 1.]], requires_grad=True)\n")
    assert "a second time" in expected
    assert printed(minigrad) == expected
