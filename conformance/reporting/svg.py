"""Draws a small layered graph as inline SVG: cards from top to bottom, joined by curves.

Sugiyama's method in its plainest form: layers by longest path, long edges cut into one-layer pieces by invisible
nodes, order within a layer by barycentre sweeps, then horizontal positions pulled towards the neighbours. Colours are
left to the page's style sheet through classes, so that one drawing serves dark, light and print.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

CHARACTER = 7.3  # width of a monospace character at the style sheet's 12 px
LINE = 18.0
PADDING = 11.0
GAP_X = 26.0
GAP_Y = 38.0
SWEEPS = 6


@dataclass(frozen=True)
class Row:
    """One labelled line of a card; `tone` is a class of the style sheet (`reference`, `engine`, `bad` or empty)."""

    label: str
    text: str
    tone: str = ""


@dataclass(frozen=True)
class Card:
    """A node: `kind` is `leaf`, `step` or `root`; a blamed one is outlined and carries a badge in words."""

    key: str
    title: str
    rows: tuple[Row, ...] = ()
    kind: str = "step"
    badge: str = ""

    @property
    def label_width(self) -> int:
        """Characters that the widest label takes."""
        return max((len(row.label) for row in self.rows), default=0)

    @property
    def width(self) -> float:
        """Pixels, from the longest line."""
        body = max((len(row.text) for row in self.rows), default=0) + self.label_width + 2
        head = len(self.title) + (len(self.badge) + 4 if self.badge else 0)
        return max(head, body if self.rows else 0, 8) * CHARACTER + 2 * PADDING

    @property
    def height(self) -> float:
        """Pixels: the title and one line for each row."""
        return LINE * (1 + len(self.rows)) + 2 * PADDING - 4


@dataclass(frozen=True)
class Edge:
    """`source` flows into argument `position` of `target`."""

    source: str
    target: str
    position: int = 0
    label: str = ""


@dataclass
class _Box:
    """A card, or a bend of a long edge, on its way to a place."""

    width: float
    height: float
    layer: int
    x: float = 0.0  # centre
    y: float = 0.0  # top


def draw(cards: Sequence[Card], edges: Sequence[Edge], title: str) -> str:
    """Return an `<svg>` element that shows `cards` joined by `edges`; sources of edges stand above their targets.

    `title` becomes the accessible name. Edges must not form a cycle.
    """
    layer_of = _layers(cards, edges)
    boxes: dict[str, _Box] = {card.key: _Box(card.width, card.height, layer_of[card.key]) for card in cards}
    chains = [_chain(number, edge, boxes) for number, edge in enumerate(edges)]
    links = [link for chain in chains for link in pairwise(chain)]
    rows = _order(boxes, links)
    width, height = _place(boxes, rows, links)
    ports = _ports(edges, chains, boxes)
    parts = [
        f'<svg class="graph" role="img" aria-label="{escape(title)}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" xmlns="http://www.w3.org/2000/svg">',
    ]
    parts += [_curve(*line, boxes) for line in zip(edges, chains, ports, strict=True)]
    parts += [_card(card, boxes[card.key]) for card in cards]
    parts.append("</svg>")
    return "".join(parts)


def _layers(cards: Sequence[Card], edges: Sequence[Edge]) -> dict[str, int]:
    """Longest path from the top; a card without inputs then moves down to just above its first use."""
    inputs, outputs = defaultdict(list), defaultdict(list)
    for edge in edges:
        inputs[edge.target].append(edge.source)
        outputs[edge.source].append(edge.target)
    layer: dict[str, int] = {}
    waiting = [card.key for card in cards]
    while waiting:
        ready = [key for key in waiting if all(source in layer for source in inputs[key])]
        if not ready:
            raise ValueError("the graph has a cycle or an edge from an unknown card")
        for key in ready:
            layer[key] = 1 + max((layer[source] for source in inputs[key]), default=-1)
        waiting = [key for key in waiting if key not in layer]
    for card in cards:
        if not inputs[card.key] and outputs[card.key]:
            layer[card.key] = min(layer[target] for target in outputs[card.key]) - 1
    return layer


def _chain(number: int, edge: Edge, boxes: dict[str, _Box]) -> list[str]:
    """The keys that an edge passes: its ends, and one bend made here for each layer between them."""
    chain = [edge.source]
    for layer in range(boxes[edge.source].layer + 1, boxes[edge.target].layer):
        bend = f"\0{number}.{layer}"
        boxes[bend] = _Box(14.0, 0.0, layer)
        chain.append(bend)
    return [*chain, edge.target]


def _order(boxes: dict[str, _Box], links: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Keys by layer, sorted by the mean place of their neighbours, downwards and upwards in turn."""
    rows: list[list[str]] = [[] for _ in range(1 + max((box.layer for box in boxes.values()), default=0))]
    for key, box in boxes.items():
        rows[box.layer].append(key)
    above, below = defaultdict(list), defaultdict(list)
    for source, target in links:
        above[target].append(source)
        below[source].append(target)
    for sweep in range(SWEEPS):
        neighbours, order = (below, rows[::-1]) if sweep % 2 else (above, rows)
        for row in order:
            place = {key: i for other in rows for i, key in enumerate(other)}
            means = {key: _mean([place[n] for n in neighbours[key]], place[key]) for key in row}
            row.sort(key=means.__getitem__)
    return rows


def _place(boxes: dict[str, _Box], rows: list[list[str]], links: Sequence[tuple[str, str]]) -> tuple[float, float]:
    """Set every x and y; return the drawing's width and height."""
    neighbours = defaultdict(list)
    for source, target in links:
        neighbours[source].append(target)
        neighbours[target].append(source)
    y = 2.0
    for row in rows:
        x = -sum(boxes[key].width + GAP_X for key in row) / 2
        height = max((boxes[key].height for key in row), default=0.0)
        for key in row:
            box = boxes[key]
            box.height = box.height or height  # a bend passes its whole layer straight, clear of the cards beside it
            box.x, box.y = x + box.width / 2, y + (height - box.height) / 2
            x += box.width + GAP_X
        y += height + GAP_Y
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 else rows[::-1]:
            wanted = [_mean([boxes[n].x for n in neighbours[key]], boxes[key].x) for key in row]
            _settle([boxes[key] for key in row], wanted)
    left = min((box.x - box.width / 2 for box in boxes.values()), default=0.0) - 2
    for box in boxes.values():
        box.x -= left
    return max((box.x + box.width / 2 for box in boxes.values()), default=0.0) + 2, y - GAP_Y + 2


def _settle(row: list[_Box], wanted: list[float]) -> None:
    """Move each box of a row as near to its wanted centre as the others let it: the mean of packing either way."""
    rightwards, leftwards = list(wanted), list(wanted)
    for i in range(1, len(row)):
        rightwards[i] = max(wanted[i], rightwards[i - 1] + _distance(row[i - 1], row[i]))
    for i in range(len(row) - 2, -1, -1):
        leftwards[i] = min(wanted[i], leftwards[i + 1] - _distance(row[i], row[i + 1]))
    for box, a, b in zip(row, rightwards, leftwards, strict=True):
        box.x = (a + b) / 2


def _distance(left: _Box, right: _Box) -> float:
    return (left.width + right.width) / 2 + GAP_X


def _ports(edges: Sequence[Edge], chains: list[list[str]], boxes: dict[str, _Box]) -> list[tuple[float, float]]:
    """Where each edge leaves its source and enters its target: spread along the card, so that x*x shows two edges."""
    out, into = defaultdict(list), defaultdict(list)
    for i, edge in enumerate(edges):
        out[edge.source].append(i)
        into[edge.target].append(i)
    leave, enter = [0.0] * len(edges), [0.0] * len(edges)
    for key, group in out.items():
        group.sort(key=lambda i: (boxes[chains[i][1]].x, edges[i].position))
        _spread(boxes[key], group, leave)
    for key, group in into.items():
        group.sort(key=lambda i: (boxes[chains[i][-2]].x, edges[i].position))
        _spread(boxes[key], group, enter)
    return list(zip(leave, enter, strict=True))


def _spread(box: _Box, group: list[int], into: list[float]) -> None:
    step = min(34.0, box.width / (len(group) + 1))
    for rank, i in enumerate(group):
        into[i] = box.x + (rank - (len(group) - 1) / 2) * step


def _curve(edge: Edge, chain: list[str], port: tuple[float, float], boxes: dict[str, _Box]) -> str:
    source, target = boxes[chain[0]], boxes[chain[-1]]
    points = [(port[0], source.y + source.height)]
    for bend in chain[1:-1]:
        box = boxes[bend]
        points += [(box.x, box.y), (box.x, box.y + box.height)]
    points.append((port[1], target.y - 1))
    path = f"M{points[0][0]:.0f} {points[0][1]:.0f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (y0 + y1) / 2
        path += f"C{x0:.0f} {middle:.0f} {x1:.0f} {middle:.0f} {x1:.0f} {y1:.0f}"
    end = f"M{points[-1][0] - 3.5:.1f} {points[-1][1] - 6:.1f}l3.5 6.5 3.5-6.5z"
    text = ""
    if edge.label:
        x, y = points[-1]
        text = f'<text class="edge-label" x="{x + 6:.0f}" y="{y - 9:.0f}">{escape(edge.label)}</text>'
    return f'<path class="edge" d="{path}"/><path class="arrow" d="{end}"/>{text}'


def _card(card: Card, box: _Box) -> str:
    left, top = box.x - box.width / 2, box.y
    classes = f"card {card.kind}" + (" blamed" if card.badge else "")
    parts = [
        f'<g class="{classes}"><rect x="{left:.0f}" y="{top:.0f}" width="{box.width:.0f}" height="{box.height:.0f}" '
        'rx="7"/>',
        f'<text class="title" x="{left + PADDING:.0f}" y="{top + PADDING + 10:.0f}">{escape(card.title)}</text>',
    ]
    if card.badge:
        right = left + box.width - PADDING
        parts.append(f'<text class="badge" x="{right:.0f}" y="{top + PADDING + 10:.0f}">{escape(card.badge)}</text>')
    column = left + PADDING + (card.label_width + 2) * CHARACTER
    for i, row in enumerate(card.rows, 1):
        y = top + PADDING + 10 + i * LINE
        tone = f' class="{row.tone}"' if row.tone else ""
        parts.append(
            f'<text{tone} x="{left + PADDING:.0f}" y="{y:.0f}"><tspan class="label">{escape(row.label)}</tspan>'
            f'<tspan x="{column:.0f}">{escape(row.text)}</tspan></text>'
        )
    return "".join([*parts, "</g>"])


def _mean(values: Iterable[float], otherwise: float) -> float:
    values = list(values)
    return sum(values) / len(values) if values else otherwise
