"""What the floods came to, for people: aligned tables, and a picture that is readable in light and in dark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.generator import percentile

NEVER = math.inf


@dataclass(slots=True)
class Table:
    """One table: the first column is text, the others are figures."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """As text, aligned."""
        every = [self.columns, *self.rows]
        widths = [max(len(row[at]) for row in every) for at in range(len(self.columns))]
        shown = [
            "  "
            + "  ".join(
                cell.ljust(width) if not at else cell.rjust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in every
        ]
        return [self.title, *(line.rstrip() for line in shown), *(f"    ({note})" for note in self.notes), ""]


@dataclass(frozen=True, slots=True)
class Served:
    """How good clients of one sort fared.  Seconds; NEVER where nobody got that far."""

    sent: int
    accepted: int
    refused: int
    lost: int
    greeting_p50: float
    greeting_p99: float
    session_p99: float


def served(tally: Mapping[str, Any]) -> Served:
    """From what a swarm told of a group.  Who was never greeted counts as one who waits for ever: the p99 has him in it."""
    ended: dict[str, int] = tally["ended"]
    accepted = ended.get("done", 0)
    refused = sum(count for how, count in ended.items() if how.startswith("refused"))
    sent = int(tally["started"])
    lost = sent - accepted - refused
    greetings = [*tally["greetings"], *[NEVER] * (sent - len(tally["greetings"]))]
    sessions = [*tally["sessions"], *[NEVER] * (sent - len(tally["sessions"]))]
    return Served(
        sent,
        accepted,
        refused,
        lost,
        percentile(greetings, 0.5),
        percentile(greetings, 0.99),
        percentile(sessions, 0.99),
    )


def span(seconds: float) -> str:
    """``4.1 ms``, ``2.03 s``, ``none`` for what never came."""
    if seconds == NEVER:
        return "none"
    if seconds >= 1:
        return f"{seconds:,.2f} s"
    return f"{1000 * seconds:,.1f} ms"


def kib(held: float) -> str:
    """``9.8 KiB``."""
    return f"{held / 1024:,.1f} KiB"


def mib(held: float) -> str:
    """``203 MiB``."""
    return f"{held / 2**20:,.0f} MiB"


SERVED_COLUMNS = ("greeting p50", "p99", "session p99", "sent", "accepted", "refused", "lost")


def served_cells(one: Served) -> tuple[str, ...]:
    """The cells of SERVED_COLUMNS."""
    times = (one.greeting_p50, one.greeting_p99, one.session_p99)
    counts = (one.sent, one.accepted, one.refused, one.lost)
    return (*map(span, times), *(f"{count:,}" for count in counts))


# ---- the picture ------------------------------------------------------------------------------------------------------

Points = Mapping[str, Sequence[tuple[int, float]]]
"""By contender: (connections, value)."""
COLOURS = ("#0072b2", "#56b4e9", "#d55e00", "#e69f00")
"""Told apart by everybody, on white and on black.  Okabe and Ito, Color Universal Design"""
MARKS = ("circle", "square", "circle", "square")
STYLE = """\
<style>
  text { font: 13px system-ui, sans-serif; fill: #222 }
  .title { font-weight: 600; font-size: 14px }
  .small { font-size: 11px; fill: #555 }
  .grid { stroke: #bbb; stroke-width: 1; stroke-dasharray: 2 4 }
  .axis { stroke: #555; stroke-width: 1 }
  @media (prefers-color-scheme: dark) {
    text { fill: #ddd } .small { fill: #aaa } .grid { stroke: #555 } .axis { stroke: #aaa }
  }
</style>"""
WIDTH, HEIGHT = 840, 380
LEFT, TOP, WIDE, TALL = 70, 50, 310, 220


@dataclass(frozen=True, slots=True)
class Panel:
    """One half of the picture: both axes logarithmic; what never came stands on a line of its own above the others."""

    title: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    points: Points
    never: str = ""


def _place(value: float, low: float, high: float) -> float:
    return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))


def _panel(panel: Panel, left: float, sizes: Sequence[int]) -> list[str]:
    lines = [f'<text class="title" x="{left}" y="{TOP - 22}">{panel.title}</text>']
    first, last = min(sizes) / 1.4, max(sizes) * 1.4

    def x(size: float) -> float:
        return left + WIDE * _place(size, first, last)

    def y(value: float) -> float:
        return (
            TOP
            if value == NEVER
            else TOP + TALL * (1 - 0.88 * _place(min(max(value, panel.low), panel.high), panel.low, panel.high))
        )

    ticks = [*panel.ticks, *([(NEVER, panel.never)] if panel.never else [])]
    for value, name in ticks:
        lines.append(f'<line class="grid" x1="{left}" x2="{left + WIDE}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        lines.append(f'<text class="small" x="{left - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{name}</text>')
    bottom = TOP + TALL
    lines.append(f'<line class="axis" x1="{left}" x2="{left + WIDE}" y1="{bottom}" y2="{bottom}"/>')
    lines += [
        f'<text class="small" x="{x(size):.1f}" y="{bottom + 18}" text-anchor="middle">{size:,}</text>'
        for size in sizes
    ]
    lines.append(
        f'<text class="small" x="{left + WIDE / 2}" y="{bottom + 36}" text-anchor="middle">silent connections held</text>'
    )
    for (_, values), colour, mark in zip(panel.points.items(), COLOURS, MARKS, strict=False):
        places = [(x(size), y(value)) for size, value in values]
        if places:
            path = " ".join(f"{across:.1f},{down:.1f}" for across, down in places)
            lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        lines += [_mark(mark, across, down, colour) for across, down in places]
    return lines


def _mark(mark: str, across: float, down: float, colour: str) -> str:
    if mark == "circle":
        return f'<circle cx="{across:.1f}" cy="{down:.1f}" r="4.5" fill="{colour}"/>'
    return f'<rect x="{across - 4:.1f}" y="{down - 4:.1f}" width="8" height="8" fill="{colour}"/>'


def picture(greetings: Points, memory: Points) -> str:
    """An SVG: the p99 of the good client's greeting, and the memory of a held connection, by the number held."""
    sizes = sorted({size for values in (*greetings.values(), *memory.values()) for size, _ in values})
    seconds = Panel(
        "A good client's greeting, p99",
        0.001,
        20.0,
        ((0.001, "1 ms"), (0.01, "10 ms"), (0.1, "100 ms"), (1.0, "1 s"), (10.0, "10 s")),
        greetings,
        "never",
    )
    bytes_each = Panel(
        "Memory of one held connection",
        1024.0,
        4.0 * 2**20,
        ((1024.0, "1 KiB"), (16384.0, "16 KiB"), (262144.0, "256 KiB"), (4194304.0, "4 MiB")),
        memory,
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-label="Greeting time and memory by the number of silent connections">',
        STYLE,
        *_panel(seconds, LEFT, sizes),
        *_panel(bytes_each, LEFT + WIDTH / 2, sizes),
    ]
    for at, (name, colour, mark) in enumerate(zip(greetings, COLOURS, MARKS, strict=False)):
        across = LEFT + at * 190
        lines.append(_mark(mark, across, HEIGHT - 24, colour))
        lines.append(f'<text x="{across + 12}" y="{HEIGHT - 20}">{name}</text>')
    return "\n".join([*lines, "</svg>", ""])
