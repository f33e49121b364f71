# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""The timeline of a drill as one SVG that needs nothing else: who served, what was lost, how slow it was."""

from __future__ import annotations

import math
import typing as t
from collections.abc import Mapping, Sequence
from html import escape

Json = Mapping[str, t.Any]

WIDTH, LEFT, RIGHT = 960, 56, 16
BARS_TOP, BARS_HEIGHT = 40, 220
LATENCY_TOP, LATENCY_HEIGHT = 308, 90
HEIGHT = 440
PLOT = WIDTH - LEFT - RIGHT

# Distinguishable also without colour vision (Okabe and Ito's palette); red stays for what was lost.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#f0e442")
LOST = "#d62728"


def colours(regions: Sequence[str]) -> dict[str, str]:
    return {region: COLOURS[place % len(COLOURS)] for place, region in enumerate(regions)}


def timeline_svg(buckets: Sequence[Json], regions: Sequence[str], marks: Mapping[str, float], width: float) -> str:
    """Stacked bars of requests per second by serving region, lost ones on top, p95 latency below.

    ``buckets`` as statistics.timeline gives them, ``width`` seconds each;
    ``marks`` are labelled moments in seconds after the first bucket's start.
    """
    span = max(len(buckets) * width, width)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12">',
        "<title>Requests per second by the region that served them, and the 95th percentile of latency</title>",
        *_bars(buckets, colours(regions), span, width),
        *_latency(buckets, span, width),
        *_seconds_axis(span),
        *_marks(marks, span),
        "</svg>",
    ]
    return "\n".join(parts)


def _x(offset: float, span: float) -> float:
    return round(LEFT + PLOT * offset / span, 1)


def _bars(buckets: Sequence[Json], colour: Mapping[str, str], span: float, width: float) -> list[str]:
    top = nice(max((sum(b["served_by"].values()) + b["lost"]) / width for b in buckets) if buckets else 1)
    parts = _grid(BARS_TOP, BARS_HEIGHT, top, "requests/s")
    thickness = max(1.0, PLOT * width / span - 1)
    for bucket in buckets:
        floor = float(BARS_TOP + BARS_HEIGHT)
        layers = [(region, count, colour.get(region, "#888")) for region, count in bucket["served_by"].items()]
        for name, count, fill in (*layers, ("lost", bucket["lost"], LOST)):
            if not count:
                continue
            height = BARS_HEIGHT * count / width / top
            floor -= height
            parts.append(
                f'<rect x="{_x(bucket["offset"], span)}" y="{floor:.1f}" width="{thickness:.1f}" height="{height:.1f}" '
                f'fill="{fill}"><title>{bucket["offset"]:g} s: {count} {escape(name)}</title></rect>'
            )
    return parts


def _latency(buckets: Sequence[Json], span: float, width: float) -> list[str]:
    known = [b for b in buckets if b["latency_p95"] is not None]
    top = nice(max((b["latency_p95"] for b in known), default=1))
    parts = _grid(LATENCY_TOP, LATENCY_HEIGHT, top, "p95 latency, s")
    run: list[str] = []
    for bucket in (*buckets, None):
        if bucket is not None and bucket["latency_p95"] is not None:
            y = LATENCY_TOP + LATENCY_HEIGHT * (1 - bucket["latency_p95"] / top)
            run.append(f"{_x(bucket['offset'] + width / 2, span)},{y:.1f}")
        elif run:  # a second in which nothing was answered leaves a gap, not a line
            parts.append(f'<polyline points="{" ".join(run)}" fill="none" stroke="#444" stroke-width="1.5"/>')
            run = []
    return parts


def _grid(y: int, height: int, top: float, label: str) -> list[str]:
    parts = [f'<text x="{LEFT}" y="{y - 10}" fill="#444">{label}</text>']
    for step in range(5):
        value, line = top * step / 4, y + height * (1 - step / 4)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{line}" y2="{line}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{line + 4}" text-anchor="end" fill="#666">{value:g}</text>')
    return parts


def _seconds_axis(span: float) -> list[str]:
    step = nice(span / 10)
    y = LATENCY_TOP + LATENCY_HEIGHT + 18
    parts = [
        f'<text x="{_x(number * step, span)}" y="{y}" text-anchor="middle" fill="#666">{number * step:g}</text>'
        for number in range(int(span / step) + 1)
    ]
    return [*parts, f'<text x="{WIDTH - RIGHT}" y="{y + 16}" text-anchor="end" fill="#666">seconds</text>']


def _marks(marks: Mapping[str, float], span: float) -> list[str]:
    parts = []
    for place, (label, offset) in enumerate(marks.items()):
        x = _x(offset, span)
        parts.append(
            f'<line x1="{x}" x2="{x}" y1="{BARS_TOP}" y2="{LATENCY_TOP + LATENCY_HEIGHT}" stroke="#111" '
            'stroke-dasharray="4 3"/>'
        )
        # Neighbouring labels on two heights, since a fast recovery puts them side by side.
        parts.append(f'<text x="{x + 4}" y="{12 if place % 2 else 26}" fill="#111">{escape(label)}</text>')
    return parts


def nice(value: float) -> float:
    """The next of 1, 2, 4, 5 times a power of ten, so that an axis has round numbers."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 4, 5, 10) if factor * power >= value - 1e-9)
