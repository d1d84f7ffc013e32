"""Which of several equal elements a selection picks: torch's own algorithms, replayed where there are ties.

torch finds the k-th smallest element of a row by partitioning the row. Where equal elements compete, the order of the
swaps decides whose index is returned, and so which element gets the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from minigrad._op import Array

# Finds the index of the k-th smallest of the comparable numbers of a row.
Select: TypeAlias = Callable[[Sequence[Any], int], int]


def kth_indices(rows: Array, k: Any, select: Select) -> Array:
    """The index of the k-th smallest element of each row, from 0; nan counts as greatest. `k`: a number, or one per row."""
    order = np.argsort(rows, axis=-1, kind="stable")
    ranked = np.take_along_axis(rows, order, -1)
    ks = np.broadcast_to(k, rows.shape[:-1])[..., None]
    found = np.take_along_axis(order, ks, -1)[..., 0]
    value = np.take_along_axis(ranked, ks, -1)
    equal = (rows == value) | ((rows != rows) & (value != value))
    for place in zip(*np.nonzero(equal.sum(-1) > 1), strict=True):
        # Ranks stand for the elements: equal ones have equal ranks, nans the greatest.
        steps = ranked[place][1:] != ranked[place][:-1]
        steps &= ~((ranked[place][1:] != ranked[place][1:]) & (ranked[place][:-1] != ranked[place][:-1]))
        ranks = np.empty(rows.shape[-1], np.int64)
        ranks[order[place]] = np.concatenate([[0], np.cumsum(steps)])
        found[place] = select(ranks.tolist(), int(ks[place][0]))
    return found


def quickselect(row: Sequence[Any], k: int) -> int:
    """The index that torch's quick_select gives (kthvalue): Hoare's partition around the median of three."""
    values, places = list(row), list(range(len(row)))

    def swap(i: int, j: int) -> None:
        values[i], values[j] = values[j], values[i]
        places[i], places[j] = places[j], places[i]

    left, right = 0, len(row) - 1
    while right > left:
        if right == left + 1:
            if values[left] > values[right]:
                swap(left, right)
            break
        swap((left + right) // 2, left + 1)
        for i, j in ((left + 1, right), (left, right), (left + 1, left)):
            if values[i] > values[j]:
                swap(i, j)
        i, j, pivot = left + 1, right, values[left]
        while True:
            i += 1
            while pivot > values[i]:
                i += 1
            j -= 1
            while values[j] > pivot:
                j -= 1
            if j < i:
                break
            swap(i, j)
        swap(left, j)
        left, right = (i if j <= k else left), (j - 1 if j >= k else right)
    return places[k]


def nth_element(row: Sequence[Any], k: int) -> int:
    """The index that the C++ library's nth_element gives (median): introselect, then insertion sort of three."""
    places = list(range(len(row)))

    def less(i: int, j: int) -> bool:
        return bool(row[places[i]] < row[places[j]])

    def swap(i: int, j: int) -> None:
        places[i], places[j] = places[j], places[i]

    first, last = 0, len(row)
    while last - first > 3:
        a, b, c = first + 1, first + (last - first) // 2, last - 1
        if less(a, b):
            swap(first, b if less(b, c) else c if less(a, c) else a)
        else:
            swap(first, a if less(a, c) else c if less(b, c) else b)
        low, high = first + 1, last
        while True:
            while less(low, first):
                low += 1
            high -= 1
            while less(first, high):
                high -= 1
            if low >= high:
                break
            swap(low, high)
            low += 1
        first, last = (low, last) if low <= k else (first, low)
    places[first:last] = sorted(places[first:last], key=row.__getitem__)
    return places[k]
