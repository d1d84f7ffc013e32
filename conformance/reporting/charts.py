"""Pictures of numbers: the map of pairs as a PNG, small lines of a trend as SVG. Nothing but the standard library."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from html import escape
from math import log10

from conformance.results import Pairs

#: Reads on white and on near black.
GREEN = (0x2E, 0x8C, 0x58)


def pair_map(pairs: Pairs) -> str:
    """A PNG as a data URI: row i, column j is coloured when operation j was fed by operation i, else transparent."""
    n = len(pairs.operations)
    width = -(-n // 8)
    lines = []
    for row in pairs.rows:
        bits = int(row, 16)
        packed = bytearray(width)
        for column in range(n):
            if bits >> column & 1:
                packed[column >> 3] |= 0x80 >> (column & 7)
        lines.append(b"\0" + packed)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", n, n, 1, 3, 0, 0, 0)),  # one bit a pixel, from a palette
        (b"PLTE", bytes((0, 0, 0, *GREEN))),
        (b"tRNS", bytes((0, 255))),
        (b"IDAT", zlib.compress(b"".join(lines), 9)),
        (b"IEND", b""),
    )
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def histogram(counts: Sequence[int], labels: Sequence[str], what: str) -> str:
    """Bars on a logarithmic scale, each with its count and its label; a line before the last: beyond the tolerance."""
    wide, high, top, foot = 72, 110.0, 18.0, 18.0
    most = log10(max(counts, default=0) + 1) or 1.0
    width, base = wide * len(counts), top + high
    parts = []
    for i, (count, label) in enumerate(zip(counts, labels, strict=True)):
        tall = high * log10(count + 1) / most
        x, centre = wide * i + 5, wide * i + wide / 2
        kind = ' class="beyond"' if i == len(counts) - 1 else ""
        parts.append(
            f'<rect{kind} x="{x}" y="{base - tall:.0f}" width="{wide - 10}" height="{tall:.0f}" rx="2"/>'
            f'<text x="{centre:.0f}" y="{base - tall - 5:.0f}">{count:,}</text>'
            f'<text class="bin" x="{centre:.0f}" y="{base + 14:.0f}">{escape(label)}</text>'
        )
    edge = width - wide
    said = escape(f"{what}: " + ", ".join(f"{label}: {count:,}" for count, label in zip(counts, labels, strict=True)))
    return (
        f'<svg class="histogram" role="img" aria-label="{said}" viewBox="0 0 {width} {base + foot:.0f}" '
        f'width="{width}" height="{base + foot:.0f}" xmlns="http://www.w3.org/2000/svg">{"".join(parts)}'
        f'<path d="M{edge} 0V{base:.0f}"/><text class="line" x="{edge - 6}" y="11">tolerance</text></svg>'
    )


def trend(values: Sequence[float], label: str, form: str = "{:,.0f}") -> str:
    """A line through the values, oldest first, with the first and the last written out, as an `<svg>` element."""
    width, height, side, top = 300.0, 90.0, 8.0, 26.0
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    step = (width - 2 * side) / max(len(values) - 1, 1)
    points = [
        (side + i * step, top + (height - top - side) * (1 - (value - low) / span if high > low else 0.5))
        for i, value in enumerate(values)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points)
    first, last = form.format(values[0]), form.format(values[-1])
    said = escape(f"{label}: from {first} to {last} over {len(values)} runs")
    return (
        f'<svg class="trend" role="img" aria-label="{said}" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" xmlns="http://www.w3.org/2000/svg"><polyline points="{line}"/>{dots}'
        f'<text x="{side}" y="14">{escape(first)}</text>'
        f'<text x="{width - side}" y="14" text-anchor="end">{escape(last)}</text></svg>'
    )
