"""The plots, written by hand as SVG: they follow the reader's light or dark scheme and need no library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from tests.benchmarks.growth import Series

STYLE = """<style>
text{font:12px system-ui,sans-serif;fill:#1f2328}.note{fill:#59636e}.grid{stroke:#d1d9e0}.one{stroke:#59636e}
.minigrad{stroke:#0969da;fill:#0969da}.torch{stroke:#bc4c00;fill:#bc4c00}.other{stroke:#818b98;fill:#818b98}
.goal{stroke:#1a7f37}.back{fill:#ffffff}.line{fill:none;stroke-width:2}text.minigrad,text.torch,text.other{stroke:none}
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.note{fill:#9198a1}.grid{stroke:#3d444d}.one{stroke:#9198a1}
.minigrad{stroke:#4493f8;fill:#4493f8}.torch{stroke:#f0883e;fill:#f0883e}.other{stroke:#9198a1;fill:#9198a1}
.goal{stroke:#3fb950}.back{fill:#0d1117}}
</style>"""
CLASSES = {"minigrad": "minigrad", "torch": "torch"}
SHAPES = {"autograd": "△", "mygrad": "□", "jax": "◇"}


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img">',
        f"<title>{escape(title)}</title>", STYLE, f'<rect class="back" width="{width:.0f}" height="{height:.0f}"/>',
        *parts, "</svg>", "",
    ])  # fmt: skip


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def ratios(rows: Sequence[tuple[str, dict[str, float], float | None]]) -> str:
    """Times relative to torch, one row for each case: (name, ratio by engine, goal)."""
    left, right, step, top = 250.0, 690.0, 24.0, 52.0
    values = [value for _, found, _ in rows for value in found.values()]
    low, high = min([0.1, *values]) * 0.9, max([2.0, *values]) * 1.1

    def across(value: float) -> float:
        return left + (right - left) * math.log(value / low) / math.log(high / low)

    bottom = top + step * len(rows)
    parts = [
        _text(10, 22, "Forward and backward, time relative to torch (left is faster)"),
        _text(10, 40, "● minigrad   | goal   △ autograd   □ mygrad   ◇ jax, eager", kind="note"),
    ]
    for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100):
        if low <= tick <= high:
            x = across(tick)
            parts += [
                _line(x, top, x, bottom, "one" if tick == 1 else "grid"),
                _text(x, bottom + 16, f"{tick:g}×", "middle", "note"),
            ]
    for number, (name, found, goal) in enumerate(rows):
        y = top + step * (number + 0.5)
        parts.append(_text(left - 12, y + 4, name, "end"))
        for engine, value in found.items():
            if engine in SHAPES:
                parts.append(_text(across(value), y + 4, SHAPES[engine], "middle", "other"))
        if goal is not None:
            parts.append(_line(across(goal), y - 9, across(goal), y + 9, "goal").replace("/>", ' stroke-width="3"/>'))
        if "minigrad" in found:
            parts.append(f'<circle cx="{across(found["minigrad"]):.1f}" cy="{y:.1f}" r="5" class="minigrad"/>')
    return _svg(right + 30, bottom + 30, "Time of forward and backward relative to torch", parts)


@dataclass(frozen=True)
class _Scale:
    """Where a point lies in a panel whose corner, at 10**a and 10**c, is (left, bottom)."""

    left: float
    bottom: float
    wide: float  # of a power of ten
    high: float
    a: int
    c: int

    def at(self, amount: float, seconds: float) -> tuple[float, float]:
        return (
            self.left + self.wide * (math.log10(amount) - self.a),
            self.bottom - self.high * (math.log10(seconds) - self.c),
        )


def growth(panels: Sequence[Series]) -> str:
    """Seconds or megabytes by amount, a logarithmic panel for each series."""
    wide, high, gap = 300.0, 200.0, 74.0
    parts: list[str] = []
    for number, panel in enumerate(panels):
        x0, y0 = 62 + (number % 2) * (wide + gap), 40 + (number // 2) * (high + gap)
        points = [point for line in panel.lines.values() for point in line]
        spans = [
            (math.floor(math.log10(min(p[i] for p in points))), math.ceil(math.log10(max(p[i] for p in points))))
            for i in (0, 1)
        ]
        (a, b), (c, d) = [(low, max(up, low + 1)) for low, up in spans]

        place = _Scale(x0, y0 + high, wide / (b - a), high / (d - c), a, c)
        parts.append(_text(x0, y0 - 12, f"{'Time' if panel.unit == 's' else 'Memory'} by {panel.title}"))
        for power in range(a, b + 1):
            x, _ = place.at(10.0**power, 10.0**c)
            parts += [_line(x, y0, x, y0 + high, "grid"), _text(x, y0 + high + 15, _power(power), "middle", "note")]
        for power in range(c, d + 1):
            _, y = place.at(10.0**a, 10.0**power)
            parts.append(_line(x0, y, x0 + wide, y, "grid"))
            parts.append(_text(x0 - 6, y + 4, _amount(power, panel.unit), "end", "note"))
        parts.append(_text(x0 + wide / 2, y0 + high + 32, panel.axis, "middle", "note"))
        for row, (engine, line) in enumerate(panel.lines.items()):
            kind = CLASSES.get(engine, "minigrad")
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place.at(*point) for point in line))
            dash = ' stroke-dasharray="5 4"' if engine == "torch" else ""
            parts.append(f'<polyline points="{path}" class="{kind} line" style="fill:none"{dash}/>')
            parts.append(_text(x0 + 10, y0 + 18 + 16 * row, ("╌ " if dash else "─ ") + engine, kind=kind))
    rows = (len(panels) + 1) // 2
    return _svg(62 + 2 * wide + gap + 20, 40 + rows * (high + gap), "Growth of time and memory", parts)


def _power(power: int) -> str:
    return "1" if power == 0 else f"10{str(power).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def _amount(power: int, unit: str) -> str:
    if unit != "s":
        return f"{10**power:g} {unit}"
    names = {-6: "1 µs", -5: "10 µs", -4: "0.1 ms", -3: "1 ms", -2: "10 ms", -1: "0.1 s", 0: "1 s", 1: "10 s"}
    return names.get(power, f"{_power(power)} s")
