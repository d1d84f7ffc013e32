"""einsum: a parser of its equations, and torch's way of computing them with sums, products and bmm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minigrad._declare import composite
from minigrad._op import RECORDED as F
from minigrad._tensor import Tensor

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ELLIPSIS = "."  # as a label: the dimensions that an ellipsis covers


@composite(method=False)
def einsum(*args: Any) -> Tensor:
    """Sums of products of tensors along labelled dimensions: `einsum("bij,bjk->bik", x, y)`.

    A label that the output lacks is summed over; one that repeats within an operand takes the diagonal. Without an
    arrow the output is what an ellipsis covers, then the labels that occur once, in alphabetical order. Lists of
    numbers may label too: `einsum(x, [0, 1], y, [1, 2], [0, 2])`. Size 1 broadcasts. RuntimeError for a bad equation.
    """
    if len(args) < 2:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, or at least one operand and its"
            " subscripts list"
        )
    if isinstance(args[0], Tensor):
        equation, operands = ",".join(map(_subscripts, args[1::2])), list(args[: len(args) & ~1 : 2])
        if len(args) % 2:
            equation += "->" + _subscripts(args[-1])
    else:
        equation, operands = args[0], list(args[1:])
        if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
            operands = list(operands[0])
    if not isinstance(equation, str):
        raise TypeError(f"einsum(): argument 'equation' (position 1) must be str, not {type(equation).__name__}")
    for i, each in enumerate(operands):
        if not isinstance(each, Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 1, but got {type(each).__name__}")
    return _contract(*_Layout(equation, [each._data.ndim for each in operands]).align(operands))


def _subscripts(numbers: Sequence[Any]) -> str:
    for each in numbers:
        if each is not Ellipsis and not 0 <= each < len(_LETTERS):
            raise ValueError("einsum(): subscript in subscript list is not within the valid range [0, 52)")
    return "".join("..." if each is Ellipsis else _LETTERS[each] for each in numbers)


def _labels(text: str, start: int, operand: int | None) -> str:
    """The labels of an operand, or of the output; an ellipsis is one. `start` is where the text lies."""
    found = ""
    i = 0
    while i < len(text):
        each = text[i]
        if each == ".":
            if _ELLIPSIS in found:
                raise RuntimeError(
                    "einsum(): found '.' for output but an ellipsis (...) was already found"
                    if operand is None
                    else f"einsum(): found '.' for operand {operand} for which an ellipsis was already found"
                )
            if text[i : i + 3] != "...":
                raise RuntimeError(
                    "einsum(): found '.' for output that is not part of any ellipsis (...)"
                    if operand is None
                    else f"einsum(): found '.' for operand {operand} that is not part of any ellipsis"
                )
            i += 2
        elif each not in _LETTERS and each != " ":
            raise RuntimeError(
                f"einsum(): invalid subscript given at index {start + i} in the equation string, subscripts must be in"
                " [a-zA-Z]"
            )
        found += each.strip()
        i += 1
    return found


class _Layout:
    """Where each label goes: the output's dimensions first, then those to sum over."""

    def __init__(self, equation: str, ranks: Sequence[int]) -> None:
        inputs, arrow, output = equation.partition("->")
        self.operands: list[str] = []
        start = 0
        for i, part in enumerate(inputs.split(",")):
            self.operands.append(_labels(part, start, i))
            start += len(part) + 1
        if len(self.operands) != len(ranks):
            word = "fewer" if len(ranks) < len(self.operands) else "more"
            raise RuntimeError(f"einsum(): {word} operands were provided than specified in the equation")
        self.covered = max(map(self._covered, range(len(ranks)), self.operands, ranks))
        every = "".join(self.operands)
        if arrow:
            shown = _labels(output, len(inputs) + 2, None)
            for each in shown.replace(_ELLIPSIS, ""):
                if shown.count(each) > 1:
                    raise RuntimeError(f"einsum(): output subscript {each} appears more than once in the output")
                if each not in every:
                    raise RuntimeError(
                        f"einsum(): output subscript {each} does not appear in the equation for any input operand"
                    )
        else:
            shown = _ELLIPSIS + "".join(each for each in _LETTERS if every.count(each) == 1)
        self.place: dict[str, int] = {}
        self.size = self.output = 0
        summed = [each for each in _LETTERS if each in every and each not in shown]
        for each in (*shown, *([] if _ELLIPSIS in shown else [_ELLIPSIS]), *summed):
            self.place[each] = self.size
            self.size += self.covered if each == _ELLIPSIS else 1
            if each in shown:
                self.output = self.size

    @staticmethod
    def _covered(number: int, labels: str, rank: int) -> int:
        """How many dimensions of an operand its ellipsis covers."""
        has = _ELLIPSIS in labels
        count = len(labels) - has
        if count > rank or count < rank and not has:
            end = "is more than" if has else "does not match"
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({count}) {end} the number of dimensions ({rank})"
                f" for operand {number}" + ("" if has else " and no ellipsis was given")
            )
        return rank - count

    def align(self, operands: Sequence[Tensor]) -> tuple[list[Tensor], list[int], int]:
        """The operands with all dimensions in place, how many of them have each, and the output's rank."""
        sizes, counts = [1] * self.size, [0] * self.size
        aligned = [
            self._align(number, labels, operand, sizes, counts)
            for number, (labels, operand) in enumerate(zip(self.operands, operands, strict=True))
        ]
        return aligned, counts, self.output

    def _align(self, number: int, labels: str, operand: Tensor, sizes: list[int], counts: list[int]) -> Tensor:
        order = [-1] * self.size
        at = 0  # the operand's dimension that is looked at

        def put(place: int, clash: str) -> None:
            nonlocal at
            size = operand._data.shape[at]
            if size != 1:
                if sizes[place] not in (1, size):
                    raise RuntimeError("einsum(): " + clash.format(size=size, seen=sizes[place]))
                sizes[place] = size
                counts[place] += 1
            order[place] = at
            at += 1

        for label in labels:
            place = self.place[label]
            if label == _ELLIPSIS:
                named = len(labels) - 1 - labels.index(label)  # the labels after the ellipsis
                for k in range(self.covered - (operand._data.ndim - at - named), self.covered):
                    put(
                        place + k,
                        f"dimension {k} covered by ellipsis in operand {number}has size {{size}} which does not"
                        " broadcast with previously seen ellipsis with size {seen} for the respective dimension",
                    )
            elif order[place] < 0:
                put(
                    place,
                    f"subscript {label} has size {{size}} for operand {number} which does not broadcast with previously"
                    " seen size {seen}",
                )
            else:
                first = order[place]
                if operand._data.shape[at] != operand._data.shape[first]:
                    raise RuntimeError(
                        f"einsum(): subscript {label} is repeated for operand {number} but the sizes don't match,"
                        f" {operand._data.shape[at]} != {operand._data.shape[first]}"
                    )
                operand = F.movedim(F.diagonal(operand, 0, first, at), -1, first)
        for place, dim in enumerate(order):
            if dim < 0:
                order[place] = operand._data.ndim
                operand = F.unsqueeze(operand, operand._data.ndim)
        return F.permute(operand, tuple(order))


def _contract(operands: list[Tensor], counts: list[int], rank: int) -> Tensor:
    """Multiply the operands from the left, summing over a dimension as soon as no later operand has it."""
    whole = range(rank, len(counts))
    result = operands[0]
    for other in operands[1:]:
        together: list[int] = []
        first: list[int] = []
        second: list[int] = []
        for dim in whole:
            if result._data.shape[dim] != 1 and other._data.shape[dim] != 1:
                counts[dim] -= 1
                if counts[dim] == 1:
                    together.append(dim)
                    counts[dim] = 0
            elif counts[dim] == 1 and (result._data.shape[dim] != 1 or other._data.shape[dim] != 1):
                (first if result._data.shape[dim] != 1 else second).append(dim)
                counts[dim] = 0
        result = _sum_product(
            F.sum(result, tuple(first), True) if first else result,
            F.sum(other, tuple(second), True) if second else other,
            together,
        )
    if not whole:
        return result
    if len(operands) > 1:
        return F.view(result, result._data.shape[:rank])
    return F.sum(result, tuple(whole))


def _sum_product(left: Tensor, right: Tensor, summed: list[int]) -> Tensor:
    """The product, summed over dimensions that both have, which are kept with size 1."""
    if not summed:
        return F.mul(left, right)
    rest = [i for i in range(left._data.ndim) if i not in summed]
    both = [i for i in rest if left._data.shape[i] != 1 and right._data.shape[i] != 1]
    ours = [i for i in rest if left._data.shape[i] != 1 and right._data.shape[i] == 1]
    theirs = [i for i in rest if left._data.shape[i] == 1]
    if ours and theirs and theirs[-1] < ours[0]:  # then the product lies in memory as the result is wanted
        left, right, ours, theirs = right, left, theirs, ours
    order = (*both, *ours, *summed, *theirs)
    shape = [left._data.shape[i] for i in (*both, *ours)] + [1] * len(summed) + [right._data.shape[i] for i in theirs]

    def size(of: Tensor, dims: list[int]) -> int:
        return math.prod([of._data.shape[i] for i in dims])

    batch, inside = size(left, both), size(left, summed)
    product = F.bmm(
        F.reshape(F.permute(left, order), (batch, size(left, ours), inside)),
        F.reshape(F.permute(right, (*both, *summed, *theirs, *ours)), (batch, inside, size(right, theirs))),
    )
    back = tuple(order.index(i) for i in range(left._data.ndim))
    return F.permute(F.view(product, tuple(shape)), back)
