"""Results of the benchmark, as a table and as a chart."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.bench.load import Load

BARS = ("#94a3b8", "#64748b", "#0d9488", "#f59e0b", "#7c3aed")
WIDTH, LABEL, BAR, GAP = 760, 190, 16, 26


@dataclass(frozen=True)
class Run:
    """One round of one request on one server."""

    load: Load
    cpu_us: float  # CPU microseconds per request, of all processes of the server


@dataclass
class Measured:
    """The rounds of each server for one request."""

    request: str
    runs: dict[str, list[Run]] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """The server that the others are compared with."""
        return next(iter(self.runs))

    def median(self, name: str, what: Callable[[Run], float]) -> float:
        """Return the median of all rounds of a server."""
        return statistics.median(map(what, self.runs[name]))

    def efficiency(self, name: str) -> float:
        """Return the requests per CPU second relative to the base server: the median of all rounds."""
        pairs = zip(self.runs[name], self.runs[self.base], strict=True)
        return statistics.median(other.cpu_us / own.cpu_us for own, other in pairs)


HEAD = ("server", "requests/s", "CPU µs", "requests per CPU second", "p50 ms", "p99 ms")


def rows(measured: Measured) -> list[tuple[str, ...]]:
    """Return a row for each server; the fourth column compares it with the first server."""
    return [
        (
            name,
            f"{measured.median(name, lambda run: run.load.rps):,.0f}",
            f"{measured.median(name, lambda run: run.cpu_us):,.0f}",
            f"{measured.efficiency(name):.2f} x",
            f"{measured.median(name, lambda run: run.load.p50):.1f}",
            f"{measured.median(name, lambda run: run.load.p99):.1f}",
        )
        for name in measured.runs
    ]


def markdown(
    results: Sequence[Measured], conditions: Sequence[str], resources: Mapping[str, tuple[float, float]]
) -> str:
    """Return the results as Markdown for the documentation.

    Args:
        results: The measurements.
        conditions: When and where they were made.
        resources: For each server, the memory in MB at the end, and the seconds from the start to the first response.
    """
    parts = [*conditions, ""]
    for measured in results:
        table = [HEAD, ("---", *["--:"] * (len(HEAD) - 1)), *rows(measured)]
        parts += [f"### {measured.request}", "", *(f"| {' | '.join(row)} |" for row in table), ""]
    parts += ["### Memory and start", "", "| server | RSS MB | first response s |", "| --- | --: | --: |"]
    parts += [f"| {name} | {memory:.0f} | {seconds:.1f} |" for name, (memory, seconds) in resources.items()]
    return "\n".join(parts) + "\n"


def chart(results: Sequence[Measured]) -> str:
    """Draw how many requests a CPU second serves, with the first server as 1."""
    longest = max(measured.efficiency(name) for measured in results for name in measured.runs)
    colors = dict(zip(dict.fromkeys(name for measured in results for name in measured.runs), BARS, strict=False))
    lines, y = [], 10
    for measured in results:
        lines.append(f'<text x="0" y="{y + 12}" class="name">{measured.request}</text>')
        for name in measured.runs:
            ratio = measured.efficiency(name)
            width = (WIDTH - LABEL - 60) * ratio / longest
            lines += [
                f'<text x="60" y="{y + 12}">{name}</text>',
                f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colors[name]}"/>',
                f'<text x="{LABEL + width + 6:.1f}" y="{y + 12}">{ratio:.2f}</text>',
            ]
            y += BAR + 4
        y += GAP - BAR
    style = "text{font:12px sans-serif;fill:#64748b}.name{font-weight:bold}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img">'
    title = "<title>Requests per CPU second; the first of each group is 1</title>"
    return "\n".join([head, title, f"<style>{style}</style>", *lines, "</svg>"]) + "\n"
