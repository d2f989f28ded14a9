"""Diagrams as SVG: boxes in rows with arrows between them, bands, lists."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

CHARACTER = 8.5
"""The width of a letter at the size of names."""
MARGIN = 24
HEIGHT = 36
GAP = 44
SPACE = 28
WIDTH = 720

_STYLE = """\
text { font: 14px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1b2b34; }
.title { font: 600 15px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
.note { font: 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #4a5a63; }
.page { fill: #ffffff; stroke: #c9d3d8; }
.box { fill: #e6f4f1; stroke: #00796b; stroke-width: 1.5; }
.arrow { fill: none; stroke: #546e7a; stroke-width: 1.5; marker-end: url(#head); }
.lost { fill: #6b7a82; text-decoration: line-through; }
"""
_HEAD = (
    '<marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
    'orient="auto"><path d="M0 0 10 5 0 10z" fill="#546e7a"/></marker>'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A box with a name: its middle, its upper edge, its width."""

    middle: float
    top: float
    width: float

    @property
    def left(self) -> float:
        """The left edge."""
        return self.middle - self.width / 2


@dataclass(slots=True)
class Canvas:
    """A diagram that grows downwards."""

    title: str
    bottom: float = MARGIN + 32
    parts: list[str] = field(default_factory=list[str])

    def rectangle(self, box: Box, height: float = HEIGHT) -> None:
        """Draw a box."""
        self.parts.append(_rectangle("box", box, height))

    def label(self, x: float, y: float, text: str, *, kind: str = "", anchor: str = "") -> None:
        """Draw a line of text."""
        style = f' class="{kind}"' if kind else ""
        place = f' text-anchor="{anchor}"' if anchor else ""
        self.parts.append(f'<text x="{x:g}" y="{y:g}"{style}{place}>{escape(text)}</text>')

    def arrow(self, stations: Sequence[Box]) -> None:
        """Draw an arrow from the lower edge of a box, past the places between, to another box."""
        path = f"M{stations[0].middle:g} {stations[0].top + HEIGHT:g}"
        for above, below in pairwise(stations):
            top, end = above.top + HEIGHT, below.top - (2 if below is stations[-1] else 0)
            bend = (end - top) / 2
            path += (
                f" C{above.middle:g} {top + bend:g} {below.middle:g} {end - bend:g} "
                f"{below.middle:g} {end:g}"
            )
            if below is not stations[-1]:
                path += f" V{below.top + HEIGHT:g}"
        self.parts.append(f'<path class="arrow" d="{path}"/>')

    def band(self, text: str) -> None:
        """Draw a box over the whole width, in lines where the text is long."""
        lines = _wrapped(text, int((WIDTH - 2 * MARGIN - 24) / CHARACTER))
        height = HEIGHT + 20 * (len(lines) - 1)
        self.rectangle(Box(middle=WIDTH / 2, top=self.bottom, width=WIDTH - 2 * MARGIN), height)
        for number, line in enumerate(lines):
            self.label(WIDTH / 2, self.bottom + 23 + 20 * number, line, anchor="middle")
        self.bottom += height + 8

    def source(self, name: str, lines: Sequence[tuple[str, bool]]) -> None:
        """Draw a named box of lines, each with whether it counts."""
        height = HEIGHT + 20 * len(lines)
        self.rectangle(Box(middle=WIDTH / 2, top=self.bottom, width=WIDTH - 2 * MARGIN), height)
        self.label(MARGIN + 14, self.bottom + 23, name, kind="title")
        for number, (line, counts) in enumerate(lines, start=1):
            self.label(
                MARGIN + 32, self.bottom + 23 + 20 * number, line, kind="" if counts else "lost"
            )
        self.bottom += height + 10

    def note(self, text: str) -> None:
        """Draw a remark below everything."""
        self.bottom += 16
        self.label(MARGIN, self.bottom, text, kind="note")

    def text(self) -> str:
        """Return the SVG."""
        height = self.bottom + MARGIN
        page = Box(middle=WIDTH / 2, top=1, width=WIDTH - 2)
        self.label(MARGIN, MARGIN + 10, self.title, kind="title")
        return "\n".join(
            [
                (
                    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" '
                    f'width="{WIDTH}" height="{height:g}" role="img">'
                ),
                f"<title>{escape(self.title)}</title>",
                f"<style>\n{_STYLE}</style>",
                f"<defs>{_HEAD}</defs>",
                _rectangle("page", page, height - 2),
                *self.parts,
                "</svg>\n",
            ]
        )


def _rectangle(kind: str, box: Box, height: float) -> str:
    return (
        f'<rect class="{kind}" x="{box.left:g}" y="{box.top:g}" width="{box.width:g}" '
        f'height="{height:g}" rx="6"/>'
    )


def _wrapped(text: str, length: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if len(longer) <= length:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def rows_of(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the nodes in rows: each below everything that has an arrow to it."""
    rank: dict[str, int] = {}

    def place(node: str) -> int:
        if node not in rank:
            above = [one for one, targets in arrows.items() if node in targets]
            rank[node] = max((place(one) + 1 for one in above), default=0)
        return rank[node]

    rows: list[list[str]] = [[] for _ in range(1 + max(place(node) for node in arrows))]
    for node in sorted(arrows):
        rows[rank[node]].append(node)
    return rows


def columns(
    title: str,
    rows: Sequence[Sequence[str]],
    arrows: Mapping[str, set[str]],
    names: Mapping[str, str],
    *,
    note: str,
) -> str:
    """Return a diagram of rows of boxes with arrows downwards, which go around other boxes."""
    canvas = Canvas(title)
    ways = _ways(rows, arrows)
    steps = {pair for way in ways for pair in pairwise(way)}
    boxes: dict[str, Box] = {}
    for number, row in enumerate(rows):
        places = {*row, *(way[at] for way in ways for at in _inner(way, number, rows))}
        ordered = sorted(places, key=lambda place: _weight(place, steps, boxes))
        widths = [len(names[one]) * CHARACTER + 24 if one in names else 0 for one in ordered]
        left = (WIDTH - sum(widths) - SPACE * (len(widths) - 1)) / 2
        for place, width in zip(ordered, widths, strict=True):
            boxes[place] = Box(middle=left + width / 2, top=canvas.bottom, width=width)
            left += width + SPACE
        canvas.bottom += HEIGHT + GAP
    canvas.bottom -= GAP - 12
    for way in ways:
        canvas.arrow([boxes[place] for place in way])
    for node, name in names.items():
        canvas.rectangle(boxes[node])
        canvas.label(boxes[node].middle, boxes[node].top + 23, name, anchor="middle")
    canvas.note(note)
    return canvas.text()


def _ways(rows: Sequence[Sequence[str]], arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the boxes of each arrow, with a place in every row between them."""
    rank = {node: number for number, row in enumerate(rows) for node in row}
    return [
        [
            node,
            *(f"{node} > {target} {row}" for row in range(rank[node] + 1, rank[target])),
            target,
        ]
        for node, targets in sorted(arrows.items())
        for target in sorted(targets)
    ]


def _inner(way: Sequence[str], row: int, rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the position of the place that an arrow has in a row without an end there."""
    first = next(number for number, nodes in enumerate(rows) if way[0] in nodes)
    at = row - first
    return [at] if 0 < at < len(way) - 1 else []


def _weight(
    place: str, steps: Collection[tuple[str, str]], boxes: Mapping[str, Box]
) -> tuple[float, str]:
    """Return where something belongs in its row: below what leads to it."""
    above = [boxes[source].middle for source, target in steps if target == place]
    return (sum(above) / len(above) if above else WIDTH / 2, place)
