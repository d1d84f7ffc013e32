"""Calls that torch refuses for their arguments: the same error, with its whole text."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import minigrad
from minigrad import _signatures

WRONG = """
torch.add()
torch.add(x, 'a')
torch.add(x, x, x, x)
torch.add(x, x, bogus=1)
torch.sum('a')
torch.sum(x, 0, bogus=1)
x.sum('a')
x.sum(x)
x.sum((0, 'a'))
x.max(1.5)
x.max(0, 1, 2)
torch.max(x, dim='a')
torch.squeeze(x, 'a')
x.squeeze(1.5)
torch.clamp(x, 3, 4, 5)
torch.std(x, 'a')
torch.where(1)
torch.where(x > 0, 'a', x)
x.masked_fill(1, 2)
x.masked_fill_(x > 0, 'a')
torch.pow('a', 2)
x.pow()
torch.tensor()
torch.full((2,))
torch.full(3, 1.0)
torch.arange('a')
torch.arange()
torch.linspace(1)
torch.linspace(0, 1, 'a')
torch.eye()
torch.randint(3)
torch.zeros('a')
torch.stack(3)
torch.stack([1])
torch.cat(x)
torch.cat([x, 3])
x.chunk()
x.permute('a')
x.permute()
x.view('a')
x.view(1.5)
x.reshape(torch.ones(2))
x.transpose(0)
x.transpose(0, 'a')
x.unsqueeze('a')
x.add_('a')
x.mul_(x, x)
torch.exp(1.0)
torch.matmul(x, 2)
torch.mm(x)
torch.linalg.inv('a')
torch.linalg.norm(x, dim='a')
torch.nn.functional.gelu('a')
torch.nn.functional.softplus(x, 'a')
torch.nn.functional.conv2d(x)
torch.nn.functional.linear(x, 'a')
torch.nn.functional.pad(x, 'a')
torch.nn.functional.pad(x, (1.0, 1))
torch.nn.functional.elu(x, 'a')
torch.nn.functional.leaky_relu(x, negative_slope='a')
torch.nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=x, is_causal=True)
torch.histc(x, bins=0)
x.mean(dim='a')
x.gather(0)
x.index_select('a', x)
x.scatter(0, 'a', 1)
torch.kthvalue(x, 'a')
x.to('nonsense')
x.to([1])
x.to(torch.float64, 'a')
x.to(torch.float64, torch.float32)
x.to(other=x)
torch.sum(x, 0, keepdim=1)
x.sum(0, 1)
x.sum(True)
x.sum(dim=True)
x.max(0, keepdim=1)
x.std(0, unbiased=1)
x.sort(descending=1)
x.argmax(0, 1)
x.softmax(True)
x.transpose(True, False)
x.squeeze(True)
x.roll(True)
x.permute(True, False)
torch.triu(x, 1.0)
torch.cat([x, x], True)
torch.movedim(x, True, False)
torch.multinomial(x, 1, 1)
torch.multinomial(x, 1, out=torch.empty(2, 1))
torch.allclose(x, x, equal_nan=1)
torch.isclose(x, x.double())
torch.isclose(x, x, -1.0)
torch.zeros(2, requires_grad=1)
torch.tensor([1.0], requires_grad=1)
torch.ones_like(x, requires_grad='a')
torch.multiply(x, 'a')
x.absolute(1)
torch.where(x > 0, x, x, out=torch.zeros(1).expand(2, 2))
x.contiguous(3)
""".strip().splitlines()


def shown(module: ModuleType, call: str) -> str:
    names: dict[str, Any] = {"torch": module, "x": module.ones(2, 2)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return repr(eval(call, names))
        except Exception as error:
            return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("call", WRONG)
def test_the_error_is_torchs(call: str) -> None:
    expected = shown(torch, call)
    assert "Error: " in expected
    assert shown(minigrad, call) == expected


def test_a_refusal_does_not_depend_on_the_calls_before() -> None:
    for module in (torch, minigrad):
        x = module.ones(2, 3)
        for right, wrong in (((0, True), (0, 1)), (((0, 1), False), ((0, 1), 0)), ((1,), (True,))):
            x.sum(*right)
            for _ in range(2):
                with pytest.raises(TypeError, match=r"keepdim|invalid combination"):
                    x.sum(*wrong)


@pytest.mark.skipif(not torch.__version__.startswith("2.13"), reason="the table is written from torch 2.13")
def test_the_signatures_are_the_installed_torchs() -> None:
    code = "import signatures, sys; sys.stdout.write(signatures.module())"  # its module `autograd` is not HIPS's
    path = f"{Path(__file__).parent}{os.pathsep}{Path(__file__).parent.parent}"
    environ = {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, encoding="utf-8", check=True)
    assert Path(_signatures.__file__).read_text("utf-8") == done.stdout, "run: python -m tests.signatures"


#: Calls with `out=`, which torch resizes: with a warning in most cases, and a vector beside a matrix as a row.
STORED = """
matmul(m.ones(2), m.ones(2, 3), out=out)
linalg.matmul(m.ones(2, 3), m.ones(3), out=out)
zeros(3, out=out)
full((2, 3), 7.0, out=out)
full((2,), 7.0, out=out, dtype=m.float64)
eye(2, 3, out=out)
eye(2, out=out, dtype=m.float64)
arange(3, out=out)
arange(4, out=out)
arange(3, out=out, dtype=m.int64)
linspace(0, 2, 3, out=out)
logspace(0, 2, 3, out=out)
"""


@pytest.mark.parametrize("shape", [(0,), (), (3,), (1, 3), (2, 2), (2, 3)], ids=str)
@pytest.mark.parametrize("call", STORED.strip().splitlines())
def test_results_are_stored_in_out_as_torchs(call: str, shape: tuple[int, ...]) -> None:
    def seen(engine: ModuleType, requires_grad: bool) -> Any:
        out = engine.zeros(shape, requires_grad=requires_grad)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                found: Any = eval(f"m.{call}", {"m": engine, "out": out}) is out
            except RuntimeError as error:
                found = str(error)
        said = [str(each.message).partition(" (Triggered")[0] for each in warned]
        return found, out.tolist(), out.stride(), out._version, said

    for requires_grad in (False, True):
        assert seen(minigrad, requires_grad) == seen(torch, requires_grad)
