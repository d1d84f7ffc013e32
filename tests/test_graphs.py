"""The graph that every operation of the vocabulary records, beside torch's: nodes, what they show, what they pack."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import minigrad
from conformance.engines.torchlike import Torch, TorchLike
from conformance.execute import Shapes, _Run, quiet
from conformance.generate import SHORT, Target, decode
from conformance.program import Apply, Program, to_numpy
from conformance.vocabulary import OPERATIONS

DRAWS = 4  # programs of each operation
SHAPES = Shapes(Torch())

# What may differ of `_saved_…`: nodes and attributes, each with the reason. Names and edges of nodes may not.
KEPT_OTHERWISE = {
    "(Mm|Addmm)Backward0._saved_(self|mat1|mat2)_sym_(sizes|strides)":
        "matrix products are where a network spends its time: backward reads these off what it keeps anyway",
    "Linalg(Det|Slogdet|SolveEx)Backward0._saved_(LU|pivots)": "numpy solves without giving its factors",
    "LinalgSvdBackward0._saved_S_sym_argsize_minus_1": "is read off the singular values, which are kept",
    "LogSigmoidBackward0._saved_buffer": "torch's kernel keeps exp(-|x|), by which its backward saves an exp",
    "NllLoss(2D)?Backward0._saved_(ignore_index|total_weight|weight|target)":
        "the weight of each element is kept instead, in which the class's weight and the index to ignore are included",
    "MultiMarginLossBackward0._saved_weight": "the weight of each element is kept instead",
    "Native(Layer|Batch|Group)NormBackward0._saved_.*":
        "normalisations are one operation here, which keeps the normalised input",
    "(AvgPool.D|Upsample.*|Re(flection|plication)Pad.D)Backward0._saved_.*":
        "means, interpolations and paddings are one operation here, which keeps a map from inputs to outputs",
    "MaxPool.DWithIndicesBackward0._saved_(ceil_mode|padding|stride)":
        "with the indices, backward needs no more than the shape",
    "ConvolutionBackward0._saved_(bias_sym_sizes_opt|output_padding|transposed)":
        "convolutions are two operations here",
    "MeanBackward1._saved_dim": "torch lists the dimensions of an adaptive pool to one element backwards",
    "(Sum|Slice|Permute|IndexSelect|LinalgVectorNorm|Norm|Div|AddBackward).*_saved_(dim|dims|ord|p|other|start|end)":
        "how a composition counts a dimension, from the front or from the back, and whether it writes 2 or 2.0",
}  # fmt: skip

# What may differ of what an application packs under `saved_tensors_hooks`: operations, each with the reason.
_INDICES = "indices are kept as numpy takes them, and are not packed"
_COMPARES = "torch composes it of operations that record a graph, of which nothing is left in the result"
_LU = "numpy solves without giving its factors"
_NORM = "normalisations are one operation here, which keeps the normalised input"
_ORDER = "the same tensors, in the order in which numpy's composition computes"
PACKED_OTHERWISE = {
    "__rmod__": "the divisor, for an error on the way back; torch keeps nothing", "isclose": _COMPARES,
    "isfinite": _COMPARES, "linalg.matrix_rank": _COMPARES, "cosine_similarity": _ORDER, "__getitem__": _INDICES,
    "index_put": _INDICES, "logdet": _LU, "slogdet": _LU, "det": _LU, "linalg.det": _LU, "linalg.slogdet": _LU,
    "linalg.solve": _LU, "linalg.tensorsolve": _LU, "linalg.solve_ex": _LU, "linalg.lstsq": _ORDER,
    "vander": "a first column of ones is multiplied too", "nn.functional.layer_norm": _NORM,
    "nn.functional.batch_norm": _NORM, "nn.functional.instance_norm": _NORM, "nn.functional.group_norm": _NORM,
    "nn.functional.logsigmoid": "torch's kernel keeps exp(-|x|)",
    "nn.functional.multilabel_soft_margin_loss": "torch's kernel keeps exp(-|x|)",
    "nn.functional.cross_entropy": "the weight of each element is kept, not of each class",
    "nn.functional.nll_loss": "the weight of each element is kept, not of each class",
    "nn.functional.multi_margin_loss": "the weight of each element is kept, not of each class",
    "nn.functional.cosine_embedding_loss": _ORDER, "nn.functional.kl_div": _ORDER,
    "nn.functional.poisson_nll_loss": _ORDER,
}  # fmt: skip


def programs(name: str, draws: int = DRAWS) -> Iterator[Program]:
    """Different applications of an operation, and what leads to them; as many as there are among some draws."""
    seen = set()
    for number in range(draws):
        data = hashlib.shake_128(f"{name} {number}".encode()).digest(SHORT)
        program, meant = decode(data, Target("cell", name, "float64"), SHAPES, tuple(OPERATIONS.values()))
        if meant and program not in seen:
            seen.add(program)
            yield program


@dataclass
class Looked:
    """What an engine shows of the graph of a program's results, node by node from the last one."""

    names: list[str] = field(default_factory=list)  # of each node, with those it points to
    saved: list[str] = field(default_factory=list)  # node and attribute, and what it holds
    packed: list[str] = field(default_factory=list)  # what each application saved


def look(module: ModuleType, program: Program) -> Looked:
    """Run a program's applications, without its backward, and look at what they recorded."""
    run = _Run(Torch() if module is torch else TorchLike(module), program)
    found = Looked()
    packed: list[Any] = []

    def pack(saved: Any) -> Any:
        packed.append(saved)
        return saved

    with quiet():
        for leaf in program.leaves:
            run.values[leaf.id] = run.engine.leaf(to_numpy(leaf.array), leaf.requires_grad)
        for step in program.steps:
            if isinstance(step, Apply):
                with module.autograd.graph.saved_tensors_hooks(pack, lambda each: each):
                    run.apply(step)
                found.packed.append(f"{step.op}: {', '.join(map(_shown, packed))}")
                packed.clear()
        nodes: dict[Any, int] = {}
        for step in program.steps:
            for each in getattr(step, "out", ()) if isinstance(step, Apply) else ():
                if run.values[each].grad_fn is not None:
                    _look(run.values[each].grad_fn, nodes, found)
                    found.names.append(f"output {run.values[each].output_nr}")
    return found


def _look(node: Any, nodes: dict[Any, int], found: Looked) -> None:
    if node is None or node in nodes:
        return
    nodes[node] = len(nodes)
    found.names.append(f"{node.name()} -> {[(each and each.name(), number) for each, number in node.next_functions]}")
    for each in sorted(name for name in dir(node) if name.startswith("_saved_")):
        found.saved.append(f"{node.name()}.{each} = {_read(node, each)}")
    for each, _ in node.next_functions:
        _look(each, nodes, found)


def _shown(value: Any) -> str:
    if hasattr(value, "grad_fn"):
        numbers = np.array(value.detach().clone().numpy(force=True) if not _lazy(value) else 0)
        total = "" if numbers.dtype.kind not in "biufc" else f" {complex(np.nansum(numbers)):.4g}"
        return f"{str(value.dtype).rpartition('.')[2]}{tuple(value.shape)}{total}"
    if isinstance(value, (tuple, list)):
        return f"{type(value).__name__}[{', '.join(map(_shown, value))}]"
    if isinstance(value, float):
        return f"{value:.6g}f"
    return f"{value!r}".replace("minigrad.", "torch.")


def _lazy(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value._is_zerotensor()


def _read(node: Any, attribute: str) -> str:
    try:
        return _shown(getattr(node, attribute))
    except RuntimeError as error:
        return str(error)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_records_torchs_graph(name: str) -> None:
    for program in programs(name):
        expected, actual = look(torch, program), look(minigrad, program)
        assert actual.names == expected.names
        if name not in PACKED_OTHERWISE:
            assert actual.packed == expected.packed
        ours, theirs = (
            [each for each in found.saved if not any(re.match(known, each) for known in KEPT_OTHERWISE)]
            for found in (actual, expected)
        )
        assert ours == theirs


def test_what_is_listed_to_differ_does() -> None:
    """Else the lists would outlive their reasons."""
    attributes, operations = set(KEPT_OTHERWISE), set(PACKED_OTHERWISE)
    for name in OPERATIONS:
        for program in programs(name, 3 * DRAWS if name in operations else DRAWS):
            expected, actual = look(torch, program), look(minigrad, program)
            if actual.packed != expected.packed:
                operations.discard(name)
            differing = set(actual.saved) ^ set(expected.saved)
            attributes -= {known for known in attributes if any(re.match(known, each) for each in differing)}
    assert attributes == set()
    assert operations == set()
