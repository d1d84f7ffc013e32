"""Nested containers (tuples, lists, dictionaries) as flat lists of what is in them, as `torch.utils._pytree`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

__all__ = ["TreeSpec", "tree_flatten", "tree_map", "tree_unflatten"]


class TreeSpec(NamedTuple):
    """The containers of a tree: the type of the outermost (None: the tree is a leaf), its keys, and its parts."""

    type: Any
    context: Any
    children: tuple[TreeSpec, ...]

    @property
    def size(self) -> int:
        """How many leaves the tree has."""
        return 1 if self.type is None else sum(each.size for each in self.children)

    def text(self, indent: int = 0) -> str:
        """The structure as torch writes it."""
        if self.type is None:
            return "*"
        parts = (",\n" + " " * (indent + 2)).join(each.text(indent + 2) for each in self.children)
        context = None if self.context is None else list(self.context)
        return f"TreeSpec({self.type.__name__}, {context}, [{parts}])"


LEAF = TreeSpec(None, None, ())


class _Star:
    def __repr__(self) -> str:
        return "*"


def sketch(spec: TreeSpec) -> str:
    """The tree with a star for each leaf."""
    return repr(tree_unflatten([_Star()] * spec.size, spec))


def tree_flatten(tree: Any) -> tuple[list[Any], TreeSpec]:
    """The leaves of a tree from left to right, and its structure."""
    kind = type(tree)
    context: Any
    if kind in (tuple, list) or isinstance(tree, tuple) and hasattr(kind, "_fields"):
        context, parts = None, list(tree)
    elif kind is dict:
        context, parts = tuple(tree), list(tree.values())
    else:
        return [tree], LEAF
    found = [tree_flatten(each) for each in parts]
    return [leaf for leaves, _ in found for leaf in leaves], TreeSpec(kind, context, tuple(s for _, s in found))


def tree_unflatten(leaves: Sequence[Any], spec: TreeSpec) -> Any:
    """The tree of a structure with these leaves."""
    if spec.type is None:
        return leaves[0]
    parts, start = [], 0
    for each in spec.children:
        parts.append(tree_unflatten(leaves[start : start + each.size], each))
        start += each.size
    if spec.type is dict:
        return dict(zip(spec.context, parts, strict=True))
    return spec.type(parts) if spec.type in (tuple, list) else spec.type(*parts)


def tree_map(function: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with a function of each leaf in its place."""
    leaves, spec = tree_flatten(tree)
    return tree_unflatten([function(each) for each in leaves], spec)


def broadcast(prefix: Any, spec: TreeSpec) -> list[Any] | None:
    """A value for each leaf of a structure, from a tree whose leaves may stand for whole parts of it; None if it does
    not fit."""
    leaves, mine = tree_flatten(prefix)
    if mine.type is None:
        return leaves * spec.size
    if mine.type is not spec.type or len(mine.children) != len(spec.children):
        return None
    found: list[Any] = []
    parts = prefix.values() if isinstance(prefix, dict) else prefix
    for part, each in zip(parts, spec.children, strict=True):
        values = broadcast(part, each)
        if values is None:
            return None
        found += values
    return found
