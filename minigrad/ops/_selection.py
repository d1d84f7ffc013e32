"""Which of several equal elements a selection picks: torch's own algorithms, replayed where there are ties.

torch finds the k-th smallest element of a row by partitioning the row. Where equal elements compete, the order of the
swaps decides whose index is returned, and so which of them gets the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad._op import Array


def kth_indices(rows: Array, k: int, order: Array) -> Array:
    """The index of the k-th smallest of each row (from 0), as torch picks it; `order` sorts the rows."""
    ranked = np.take_along_axis(rows, order, -1)
    found, value = order[..., k].copy(), ranked[..., k, None]
    equal = (rows == value) | ((rows != rows) & (value != value))
    for place in map(tuple, np.argwhere(equal.sum(-1) > 1)):
        # Ranks stand for the elements: equal ones have equal ranks, nans the greatest.
        row = ranked[place]
        steps = (row[1:] != row[:-1]) & ((row[1:] == row[1:]) | (row[:-1] == row[:-1]))
        ranks = np.empty(len(row), np.int64)
        ranks[order[place]] = np.concatenate([[0], np.cumsum(steps)])
        found[place] = quickselect(ranks.tolist(), k)
    return found


def quickselect(row: Sequence[Any], k: int) -> int:
    """The index that torch's quick_select leaves at k: Hoare's partition around the median of three."""
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


def insertion_order(row: Sequence[Any]) -> list[int]:
    """The order in which the C++ library's sort leaves a short row that holds nans, which compare less to nothing."""
    places = [0]
    for i in range(1, len(row)):
        j = i
        if row[i] < row[places[0]]:
            j = 0
        while j and row[i] < row[places[j - 1]]:
            j -= 1
        places.insert(j, i)
    return places
