"""The table of all rounds."""

import statistics

COLUMNS = ("rounds", "recovered", "detected", "failed", "median s", "p95 s", "CPU s")


def table(rows: list[dict]) -> str:
    """Fault × outcome, and the seconds of a round: median and 95th percentile, and CPU (median)."""
    lines = ["".join([f"{'fault':20}", *(f"{name:>11}" for name in COLUMNS)])]
    for fault in [*sorted({row["fault"] for row in rows}), "all"]:
        played = [row for row in rows if fault in (row["fault"], "all")]
        lines.append(f"{fault:20}" + "".join(f"{cell:>11}" for cell in _cells(played)))
    return "\n".join(lines)


def _cells(rows: list[dict]) -> list[str]:
    failed = sum(bool(row["wrong"]) for row in rows)
    seconds = sorted(row["seconds"] for row in rows) or [0.0]
    found = sum(bool(row["detected"]) for row in rows)
    late = seconds[min(len(seconds) - 1, int(0.95 * len(seconds)))]
    counts = [len(rows), len(rows) - failed, found, failed]
    cpu = statistics.median([row["cpu_seconds"] for row in rows] or [0.0])
    return [*map(str, counts), *(f"{n:.1f}" for n in (statistics.median(seconds), late, cpu))]
