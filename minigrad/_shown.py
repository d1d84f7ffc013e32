"""What torch's nodes show of what they keep: the attributes `_saved_…` of a `grad_fn`.

A node keeps what its operation's formulas name, and shows it under the names that torch's formulas use. These are the
same, except for what the table says.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any, Final

# Nodes, then what differs in them: `-ours` is not shown, `theirs=ours` has another name, `theirs:value` is what torch
# keeps for an argument that there is none of here. Where operations share a node, one may have a line of its own.
# `_sym_numel`, `_sym_argsize_0` and the like are read off a shape.
_DIFFERENT: Final = """
AdaptiveAvgPool2D AdaptiveAvgPool3D ReflectionPad1D ReflectionPad2D ReflectionPad3D ReplicationPad1D ReplicationPad2D \
ReplicationPad3D UpsampleBicubic2D UpsampleBilinear2D UpsampleLinear1D UpsampleNearest1D UpsampleNearest2D \
UpsampleNearest3D UpsampleTrilinear3D | -maps -scale
AdaptiveMaxPool2D AdaptiveMaxPool3D | result1=indices -size
AvgPool2D AvgPool3D | -maps -scale
Addbmm | batch1_sym_argsize_0=batch1_shape batch1_sym_argsize_1=batch1_shape batch2_sym_argsize_2=batch2_shape
Amax Amin Aminmax Prod0 Unsqueeze | -self_shape
Squeeze1 Squeeze2 Squeeze4 Unsqueeze | dim=dim
Diagonal0 | dim1=dim1 dim2=dim2
LinalgLu LinalgLuFactorEx | pivot=pivot
LinalgSvd | full_matrices=full_matrices
Pow0 | -result
AsStrided | -part size=size stride=stride storage_offset=storage_offset
BlockDiag Cat | -tensors_shape
Col2Im | kernel_size=kernel
Convolution | -input_shape -weight_shape -last
Diagonal0_copy | dim1:0 dim2:1
DiagonalScatter SelectScatter SliceScatter | -src_shape
Div0 Div1 | -rounding_mode
Div1 | other=number
Mul1 | other=number -self
Elu0 | scale:1 input_scale:1
Embedding | scale_grad_by_freq=by_count padding_idx=padding sparse:False weight_sym_argsize_0=weight_shape
Fmod0 | -self -other
Gather | sparse_grad:False
Im2Col | kernel_size=kernel self_sym_argsize_minus_1=self_shape self_sym_argsize_minus_2=self_shape
Index | indices=index
IndexAdd IndexCopy | source_dim=source_shape
IndexPut | indices=index -values_shape
Split UnsafeSplit | self_sym_sizes=self_shape split_size=split_size
SplitWithSizes UnsafeSplitWithSizes | self_sym_sizes=self_shape split_sizes=split_sizes
Lerp0 | -self -end
LinalgLstsq | self=A b=B
LinalgPinv LinalgSolveTriangular | self=A
LinalgSolveEx | result=results -B_shape
LuUnpack | LU_data_sym_argsize_minus_1=LU_data_shape LU_data_sym_argsize_minus_2=LU_data_shape
MaxPool2DWithIndices MaxPool3DWithIndices | result1=indices kernel_size=kernel
MaxUnpool2D MaxUnpool3D | -spatial
Mean0 | self_sym_sizes=self_shape self_sym_numel=self_shape
Mean1 | self_sym_sizes=self_shape self_sym_numel=self_shape
MultiMarginLoss | -others weight:None
NativeBatchNorm NativeGroupNorm NativeLayerNorm | -affine -bias_shape -called -layout -mean -tie -unit -variance -eps
NllLoss NllLoss2D | -coefficients -total
Pow | exponent=other
Prod0 Remainder0 | -dim -keepdim -self -other
Prod0 | self=self
nn.functional.selu | alpha:1.6732632423543772 scale:1.0507009873554805
torch::autograd::NotImplemented | -self -other
"""
_UNSEEN: Final = {"grad", "grads", "given", "xp", "dtype"}
_TUPLES: Final = {"sum", "mean", "var", "std", "var_mean", "std_mean", "logsumexp", "amax", "amin", "nansum", "roll",
                  "linalg.vector_norm"}  # fmt: skip  (whose dimensions are a tuple in torch, also a single one)


def _table() -> dict[str, tuple[set[str], dict[str, str], dict[str, Any]]]:
    found: dict[str, tuple[set[str], dict[str, str], dict[str, Any]]] = {}
    for line in _DIFFERENT.strip().splitlines():
        nodes, _, items = line.partition(" | ")
        for node in nodes.split():
            hidden, renamed, constant = found.setdefault(node, (set(), {}, {}))
            for item in items.split():
                if item.startswith("-"):
                    hidden.add(item[1:])
                elif "=" in item:
                    theirs, ours = item.split("=")
                    renamed[theirs] = ours
                else:
                    theirs, value = item.split(":")
                    constant[theirs] = ast.literal_eval(value)
    return found


_BY_NODE: Final = _table()


def shown_names(node: str, op: str, kept: Iterable[str]) -> tuple[dict[str, str], dict[str, Any]]:
    """Torch's names, without `_saved_`, of what an operation's node keeps, each with the name here; and what it keeps
    always."""
    stem, _, number = node.partition("Backward")
    hidden: set[str] = set()
    renamed: dict[str, str] = {}
    constant: dict[str, Any] = {}
    for key in (stem, f"{stem}{number}", op):
        if key in _BY_NODE:
            hidden |= _BY_NODE[key][0]
            renamed |= _BY_NODE[key][1]
            constant |= _BY_NODE[key][2]
    found: dict[str, str] = {}
    for each in kept:
        base, _, what = each.rpartition("_")
        if each not in _UNSEEN | hidden and each not in renamed.values() and what not in ("strides", "number"):
            found[f"{base}_sym_sizes" if what == "shape" else each] = each
    return {**found, **renamed}, constant


def as_shown(op: str, theirs: str, value: Any, scalar: bool) -> Any:
    """An argument that a node keeps, as torch shows it; `scalar`: it may be any number, and is shown with its sign."""
    if value is None:
        return value
    _, _, part = theirs.partition("_sym_")
    if part == "numel":
        count = 1
        for size in value:
            count *= size
        return count
    if part.startswith("argsize_"):
        return value[int(part.removeprefix("argsize_").replace("minus_", "-"))]
    if theirs == "source_dim":
        return len(value)
    if theirs == "indices" and op in ("index", "index_put_at"):
        return tuple(getattr(value, "tensors", value))
    if theirs in ("dim", "dims", "shifts") and op.removesuffix(".correction") in _TUPLES and isinstance(value, int):
        value = (value,)
    if theirs == "correction" and isinstance(value, bool):
        value = int(value)
    return value if scalar else _unsigned(value)


def _unsigned(value: Any) -> Any:
    """Whole numbers as torch shows them: it keeps them as they are, and shows them without their sign."""
    if isinstance(value, (tuple, list)):
        return tuple(map(_unsigned, value))
    return value + 2**64 if type(value) is int and value < 0 else value
