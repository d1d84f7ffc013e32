"""Views and writes in place, as programs that torch and minigrad must end alike."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

import minigrad

torch.set_num_threads(1)


def chain(node: Any) -> str:
    """A graph as text: names of nodes, inputs in parentheses."""
    if node is None:
        return "-"
    inputs = ", ".join(chain(each) for each, _ in node.next_functions)
    return node.name().rpartition("::")[2] + (f"({inputs})" if inputs else "")


def end_of(engine: Any, program: str) -> list[Any]:
    """What a program shows, up to the error that ends it."""
    x = engine.tensor([[1.0, 2, 3], [4, 5, 6]], dtype=engine.float64, requires_grad=True)
    w = engine.tensor([[0.5, -1, 2], [1.5, 3, -0.5]], dtype=engine.float64, requires_grad=True)
    seen: list[Any] = []

    def show(*values: Any) -> None:
        for each in values:
            if isinstance(each, engine.Tensor):
                seen.append((str(each.dtype), each.requires_grad, each.is_leaf, chain(each.grad_fn)))
                seen.append(np.array(each.detach().tolist()))
            else:
                seen.append(each)

    def back(result: Any) -> None:
        """Gradients of the squares, and of those gradients."""
        first = engine.autograd.grad((result * result).sum(), [x, w], create_graph=True, allow_unused=True)
        used = [each for each in first if each is not None]
        seen.extend(None if each is None else np.array(each.tolist()) for each in first)
        total = sum((each * each).sum() for each in used)
        if isinstance(total, engine.Tensor) and total.requires_grad:
            second = engine.autograd.grad(total, [x, w], allow_unused=True)
            seen.extend(None if each is None else np.array(each.tolist()) for each in second)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(program, {"T": engine, "x": x, "w": w, "show": show, "back": back})
        except Exception as error:
            seen.append((type(error).__name__, str(error).splitlines()[0]))
    return seen


PROGRAMS = """
y = x * 1; v = y[0]; v.mul_(2); show(y, v); back(y)
y = x * 1; v = y[0]; y.mul_(2); show(y, v); back(v)
y = x * 1; v = y[0]; u = y[:, 1]; v.mul_(w[0]); show(y, v, u); back(u)
y = x * 1; v = y.view(6); v[2:4].mul_(3); show(y, v); back(v)
y = x * 1; v = y.t(); v[0] = w[:, 0]; show(y, v); back(v)
y = x.t().clone(); v = y[1]; v.mul_(2); show(y, v); back(y)
y = x.t().clone(); y[:, 1].mul_(w[0]); v = y.t()[0]; v += 1; show(y, v); back(y + v.sum())
y = x * 1; y.diagonal().mul_(w[0, :2]); show(y); back(y)
y = x * 1; y.t().masked_fill_(y.t() > 2, 0); show(y); back(y)
y = x * 1; y.view(3, 2)[1].copy_(w[0, :2]); show(y); back(y)
y = x * 1; y.unfold(1, 2, 1)[0, 0].mul_(3); show(y); back(y)
y = x * 1; y.as_strided((2,), (2,), 1).mul_(3); show(y); back(y)
y = x * 1; back(y.as_strided((2, 2), (1, 1), 1))
y = x * 1; v = y[1]; back(v.as_strided((2, 2), (1, 1), 2))
y = x * 1; y[0][1] = 7.; show(y); back(y)
y = x * 1; y[0, 1] *= 7.; show(y); back(y)
y = x * 1; y[y > 1] *= w.sum(); show(y); back(y)
y = x * 1; y[0][[0, 2]] = w[1, :2]; show(y); back(y)
y = x * 1; y[0] = y[1]; show(y); back(y)
y = x * 1; y[:1] += y[1:]; show(y); back(y)
y = x * 1; y[:] = w; show(y); back(y)
y = x * 1; y[0] = w.float().sum(); show(y); back(y)
y = x * 1; y.index_add_(1, T.tensor([0, 0]), w[:, :2]); show(y); back(y)
y = x * 1; y.t().scatter_(0, T.tensor([[0, 1]]), w[:1, :2]); show(y); back(y)
y = x * (1 + 1j); y.real.mul_(w); show(y); back((y * y.conj()).real)
y = x.clone(); y.t()[1] *= 2; y[0] *= w[0]; y.view(-1)[2:] += 1; show(y); back(y)
y = x.clone(); v = y[1]; u = v[1:]; v *= 2; u *= 3; y *= w; show(y, v, u); back(u)
y = x * 1; a = y[0]; b = y[0]; a += 1; b *= 2; show(y, a, b); back(a * b)
y = x * 1; v = y[0]; del y; v.mul_(2); show(v); back(v)
y = x * 1; v = y[...]; v += 1; show(y, v, y._version, v._version)
y = x * 1; y.unsqueeze_(0); show(y); back(y)
y = x * 1; y.transpose_(0, 1).mul_(2); show(y); back(y * w.t())
y = x * 1; v = y[:, :2]; v.t_(); show(v, y); back(v)
z = T.zeros(2, 3).double(); z[0] = x[0]; z[1] = w[1]; show(z); back(z)
z = T.zeros(2, 3).double(); v = z[0]; z[1] = x[0]; show(v); back(v)
z = T.zeros(2, 3, dtype=T.int64); z[0] = x[0]; show(z)
z = x.detach().clone(); v = z[0]; v.mul_(w[0]); show(z, v, z.is_leaf); back(z)
f = T.zeros(3).double(); f[0] = x.sum(); f[1] = f[0] * 2; f[2] = f[1] * f[0]; show(f); back(f)
y = x * 1; s = (y * y).sum(); y[0] = 1.; s.backward()
y = x * 1; s = y.exp(); v = s[0]; v.mul_(2); s.sum().backward()
y = x * 1; v = y[0]; s = (v * w[0]).sum(); v.mul_(2); s.backward()
y = x * 1; v = y[0]; s = v.exp(); y.add_(1); back(s)
y = x * 1; y.mul_(y); back(y)
y = x * 1; v = y[0]; v.mul_(v); back(y)
y = x * 1; d = y.detach(); s = y * y; d.add_(1); show(y._version, d._base); s.sum().backward()
y = x * 1; s = y * y; y.data.mul_(2); show(y._version); back(s)
v = x[0]; u = v[1:]; show(v._base is x, u._base is x, u._is_view(), x._base); x[0].mul_(2)
x.view(6).add_(1)
x.add_(1)
x.t_()
with T.no_grad(): v = x[0]; v.mul_(2); show(x, x._version, x[0]._version)
z = x.detach(); v = z[0]; v.requires_grad_(); show(v.is_leaf); v.mul_(2)
a, b = (x * 1).unbind(); a.mul_(2)
a, b = (x * 1).split(1); a.mul_(2)
a, b = (x * 1).split([1, 1]); a.mul_(2)
a, b = (x * 1).chunk(2); a.mul_(2)
a, b = (x * 1).tensor_split(2); a.mul_(2); show(a, b)
a, b = x * 1; a.add_(1)
a, b = (x * 1).unbind(); a[0].zero_()
a, b = x.detach().unbind(); a.mul_(2); show(a)
a, b = x.detach().clone().unbind(); a.mul_(w[0])
a, b = (x * 1).unbind(); a._base.mul_(2); show(a.requires_grad); a.grad_fn
with T.no_grad(): a, b = x.unbind(); a.zero_()
with T.no_grad(): a, b = (x * 1).unbind()
with T.no_grad(): v = (x * 1)[0]; v.mul_(2); show(v)
y = x * 1; v = y[0]; v.detach_()
y = x * 1; y.detach_(); show(y)
y = x * 1; e = y.expand(2, 2, 3); e.mul_(2)
y = x * 1; e = y[0].expand(1, 3); e.mul_(2); show(y, e)
y = (x * 1).view(6); y[1:].add_(y[:-1])
y = (x * 1).view(6); y.add_(y.clone()); y.add_(y); show(y)
y = x.detach().view(6); y.index_add_(0, T.arange(6), y)
y = x.detach().view(6); y.index_copy_(0, T.arange(6), y.detach())
y = x.detach().view(6); y.scatter_(0, T.arange(6), y)
y = x.detach().view(6); y.scatter_add_(0, T.arange(6), y)
y = x.detach().view(6); y[T.arange(6)] = y
y = x.detach().view(6); y.put_(T.arange(6), y)
y = x.detach().view(6); y[:3].index_add_(0, T.arange(3), y[3:]); show(y)
y = T.arange(3); y.scatter_(0, y, 1)
y = x.detach().clone(); y.masked_fill_(y > 2, y[0, 1]); y.index_fill_(0, T.tensor([1]), y[0, 2]); show(y)
y = x.detach().view(6); y[:3].masked_scatter_(y[3:] > 4, y[1:4]); show(y)
y = w.detach()[:, ::2].requires_grad_(); (y * 3).sum().backward(create_graph=True); show(y.grad, y.grad.stride())
y = w.detach().t()[::2].requires_grad_(); (y * 3).sum().backward(); show(y.grad, y.grad.stride())
y = w.detach().t().requires_grad_(); (y * 3).sum().backward(create_graph=True); show(y.grad, y.grad.stride())
y = w.detach()[0].expand(2, 3).requires_grad_(); (y * y).sum().backward(create_graph=True); show(y.grad)
y = x * 1; v = y[0]; v.retain_grad(); v.mul_(2); (y * y).sum().backward(); show(v.grad, x.grad)
y = x * 1; h = []; y.register_hook(lambda g: h.append(g.clone())); y[0] = 0.; (y * y).sum().backward(); show(*h)
y = x * 1; v = y[0]; v.resize_(2)
"""

UNDER_NO_GRAD = """
v.mul_(2)
y.mul_(2); show(v.requires_grad); v.grad_fn
show(v, v.requires_grad, (v * 2).requires_grad, v[0].is_leaf)
(v * 2).sum().backward(); show(v.grad, x.grad)
"""


@pytest.mark.parametrize("program", PROGRAMS.strip().splitlines())
def test_programs(program: str) -> None:
    agree(program)


@pytest.mark.parametrize("ending", UNDER_NO_GRAD.strip().splitlines())
@pytest.mark.parametrize("base", ["x * 1", "x.detach().clone()"])
def test_views_made_under_no_grad(base: str, ending: str) -> None:
    agree(f"y = {base}\nwith T.no_grad(): v = y[0]\n{ending}")


def test_a_view_of_a_tensor_that_later_requires_grad() -> None:
    agree("z = x.detach().clone(); v = z[0]; z.requires_grad_(); show(v); (v * 2).sum().backward(); show(z.grad)")
    agree("z = x.detach().clone(); v = z[0]; z.requires_grad_()\nwith T.no_grad(): z.add_(1)\nshow(v, v * 2)")


def agree(program: str) -> None:
    expected, actual = end_of(torch, program), end_of(minigrad, program)
    assert len(expected) == len(actual), (expected, actual)
    for a, b in zip(expected, actual, strict=True):
        if isinstance(a, np.ndarray):
            np.testing.assert_allclose(b, a, rtol=1e-12)
        else:
            assert b == a


def test_a_function_of_a_view_whose_base_was_changed() -> None:
    """The view's node is made anew when the function is applied; the gradients of some inputs alone go through it."""

    def run(engine: Any) -> Any:
        class Double(engine.autograd.Function):  # type: ignore[misc, name-defined]
            @staticmethod
            def forward(ctx: Any, a: Any) -> Any:
                return a * 2

            @staticmethod
            def backward(ctx: Any, grad: Any) -> Any:
                return grad * 2

        x = engine.tensor([[0.5]], requires_grad=True)
        y = x.sin()
        view = y.view(1)
        y.clamp_(-1.0, 1.0)
        Double.apply(view).sum().backward(inputs=[x])
        return x.grad.tolist()

    assert run(minigrad) == run(torch)


#: What two leaves lead to, and whether the gradient that comes there is an expanded one.
SHARING = {
    "stacked": lambda m, x, y: m.stack((x, y)),
    "stacked as the last dimension": lambda m, x, y: m.stack((x, y), -1),
    "dstack": lambda m, x, y: m.dstack((x, y)),
    "column_stack": lambda m, x, y: m.column_stack((x, y)),
    "cat": lambda m, x, y: m.cat((x.reshape(-1), y.reshape(-1))),
    "added as matrices": lambda m, x, y: m.atleast_2d(x) + m.atleast_2d(y),
    "added as one row": lambda m, x, y: x.unsqueeze(0) + y,
    "added": lambda m, x, y: x + y,
    "products": lambda m, x, y: m.stack((x * 1, y * 1)),
}


@pytest.mark.parametrize("shape", [(), (1,), (2,), (1, 1), (2, 3), (2, 1)], ids=str)
@pytest.mark.parametrize("way", SHARING)
def test_a_gradient_that_goes_on_in_views_stays_in_one_memory(way: str, shape: tuple[int, ...]) -> None:
    def seen(engine: Any, expanded: bool) -> Any:
        x, y = (engine.ones(shape, dtype=engine.float64).requires_grad_() for _ in range(2))
        value = SHARING[way](engine, x, y)
        if expanded and value.ndim:
            value = engine.sum(value, -1, keepdim=True)
        given = engine.ones(value.shape, dtype=engine.float64)
        value.backward(given)
        pairs = [(x.grad, y.grad), (x.grad, given), (y.grad, given)]
        return [np.shares_memory(a.numpy(), b.numpy()) for a, b in pairs], x.grad._version, y.grad._version

    for expanded in (False, True):
        assert seen(minigrad, expanded) == seen(torch, expanded)
