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
x.mean(dim='a')
x.gather(0)
x.index_select('a', x)
x.scatter(0, 'a', 1)
torch.kthvalue(x, 'a')
x.to('nonsense')
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


@pytest.mark.skipif(not torch.__version__.startswith("2.13"), reason="the table is written from torch 2.13")
def test_the_signatures_are_the_installed_torchs() -> None:
    code = "import signatures, sys; sys.stdout.write(signatures.module())"  # its module `autograd` is not HIPS's
    path = f"{Path(__file__).parent}{os.pathsep}{Path(__file__).parent.parent}"
    environ = {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, encoding="utf-8", check=True)
    assert Path(_signatures.__file__).read_text("utf-8") == done.stdout, "run: python -m tests.signatures"
