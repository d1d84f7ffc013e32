"""Which of several equal elements a selection picks: torch's own algorithms, replayed where there are ties.

torch orders the elements of a row with the C++ library's `sort`, `nth_element` and `partial_sort`, or a quickselect of
its own. Where equal elements compete, the order of the swaps decides whose index is returned, and so which of them gets
the gradient. A row is a list of (value, place) here; only values are compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from minigrad._op import Array

SHORT: Final = 16  # what the C++ library leaves to insertion sort
_LARGE: Final = 1 << 14  # elements above which ties are left in order: torch promises nothing, and a replay takes long

Row = list[tuple[Any, int]]


def replayed(rows: Array, order: Array, found: Array, algorithm: Callable[[Row], Row], ties: bool = True) -> Array:
    """`found`, with the places that `algorithm` leaves each row with ties at; `order` sorts the rows.

    `ties=False`: all rows, whether there are ties or not.
    """
    ranked = np.take_along_axis(rows, order, -1)
    known = ranked == ranked  # no nan, of which one is as good as another
    steps = (ranked[..., 1:] != ranked[..., :-1]) & (known[..., 1:] | known[..., :-1])
    chosen = np.argwhere(~steps.all(-1) if ties else np.ones(rows.shape[:-1], bool))
    for place in map(tuple, chosen if rows.size <= _LARGE else chosen[:0]):
        # Ranks stand for the elements: equal ones have equal ranks, nans the last.
        ranks = np.zeros(rows.shape[-1], np.int64)
        ranks[order[place][1:]] = np.cumsum(steps[place])
        found[place] = [each for _, each in algorithm([(rank, i) for i, rank in enumerate(ranks.tolist())])]
    return found


def sort(row: Row) -> Row:
    """`std::sort`: quicksort until parts are short, then insertion sort."""
    _quicksort(row, 0, len(row), _depth(row))
    for i in range(1, len(row)):
        each, j = row[i], i
        if i < SHORT and each[0] < row[0][0]:  # nans, which compare less to nothing, make this more than a short cut
            j = 0
        while j and each[0] < row[j - 1][0]:
            j -= 1
        row.insert(j, row.pop(i))
    return row


def top(row: Row, k: int, ordered: bool) -> Row:
    """The first k elements of a row as torch's topk finds them."""
    if k * 64 <= len(row):
        _heap_select(row, 0, k, len(row))
        _sort_heap(row, 0, k)
    elif k:
        first, last, depth = 0, len(row), _depth(row)
        while last - first > 3 and depth:
            cut, depth = _partition(row, first, last), depth - 1
            first, last = (cut, last) if cut < k else (first, cut)
        if last - first > 3:
            _heap_select(row, first, k, last)
            row[first], row[k - 1] = row[k - 1], row[first]
        else:
            row[first:last] = sort(row[first:last])
        if ordered:
            row[: k - 1] = sort(row[: k - 1])
    return row[:k]


def _depth(row: Row) -> int:
    """How often the C++ library partitions before it takes a heap instead."""
    return 2 * (len(row).bit_length() - 1)


def _quicksort(row: Row, first: int, last: int, depth: int) -> None:
    while last - first > SHORT:
        if not depth:
            _heap_select(row, first, last, last)
            _sort_heap(row, first, last)
            return
        depth -= 1
        cut = _partition(row, first, last)
        _quicksort(row, cut, last, depth)
        last = cut


def _partition(row: Row, first: int, last: int) -> int:
    """Part a row around the median of three, which comes first; where the second part begins."""
    three = [first + 1, (first + last) // 2, last - 1]
    a, b, c = (row[i][0] for i in three)
    middle = (1 if b < c else 2 if a < c else 0) if a < b else 0 if a < c else 2 if b < c else 1
    row[first], row[three[middle]] = row[three[middle]], row[first]
    pivot, i, j = row[first][0], first + 1, last
    while True:
        while row[i][0] < pivot:
            i += 1
        j -= 1
        while pivot < row[j][0]:
            j -= 1
        if i >= j:
            return i
        row[i], row[j] = row[j], row[i]
        i += 1


def _heap_select(row: Row, first: int, middle: int, last: int) -> None:
    """Make the smallest elements a heap, in front; the greatest of them first."""
    size = middle - first
    for parent in reversed(range(size // 2)):
        _sift(row, first, parent, size, row[first + parent])
    for i in range(middle, last):
        if row[i][0] < row[first][0]:
            each, row[i] = row[i], row[first]
            _sift(row, first, 0, size, each)


def _sort_heap(row: Row, first: int, last: int) -> None:
    for i in reversed(range(first + 1, last)):
        each, row[i] = row[i], row[first]
        _sift(row, first, 0, i - first, each)


def _sift(row: Row, first: int, hole: int, size: int, each: tuple[Any, int]) -> None:
    """Move a hole to the bottom of a heap, and from there an element up to where it belongs."""
    top = hole
    while (child := 2 * hole + 2) <= size:
        if child == size or row[first + child][0] < row[first + child - 1][0]:
            child -= 1
        row[first + hole], hole = row[first + child], child
    while hole > top and row[first + (hole - 1) // 2][0] < each[0]:
        row[first + hole], hole = row[first + (hole - 1) // 2], (hole - 1) // 2
    row[first + hole] = each


def kth(row: Row, k: int) -> Row:
    """The element that torch's quick_select leaves at k: Hoare's partition around the median of three."""

    def swap(i: int, j: int) -> None:
        row[i], row[j] = row[j], row[i]

    left, right = 0, len(row) - 1
    while right > left:
        if right == left + 1:
            if row[left][0] > row[right][0]:
                swap(left, right)
            break
        swap((left + right) // 2, left + 1)
        for i, j in ((left + 1, right), (left, right), (left + 1, left)):
            if row[i][0] > row[j][0]:
                swap(i, j)
        i, j, pivot = left + 1, right, row[left][0]
        while True:
            i += 1
            while pivot > row[i][0]:
                i += 1
            j -= 1
            while row[j][0] > pivot:
                j -= 1
            if j < i:
                break
            swap(i, j)
        swap(left, j)
        left, right = (i if j <= k else left), (j - 1 if j >= k else right)
    return [row[k]]
