"""What a gateway adds to an instant upstream: latency, throughput, CPU per request and per chunk, memory, start.

`make bench NAME=gateway_overhead` runs the whole grid; `python -m benchmarks.gateway_overhead --quick` a taste of it.

The gateway has one core, the mock upstream and the load share the other. Every round measures every row once, in
random order, and the floor (load straight on the mock) with them; what is "added" is the difference within a round.
A window counts only if no request failed and others used at most --outside of the machine.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.overhead import host
from benchmarks.overhead.figures import print_table, summarise, write_csv
from benchmarks.overhead.grid import LOAD_CPU, Effort, Grid
from benchmarks.overhead.process import pinned
from benchmarks.overhead.rows import FLOOR, ROWS

RESULT = Path(__file__).parent / "results" / "gateway_overhead.csv"
_PACKAGES = ("uvicorn", "uvloop", "httptools", "starlette", "fastapi", "aiohttp", "httpx2", "msgspec")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rows", nargs="*", help="only these rows (the floor is always measured)")
    parser.add_argument("--window-s", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--outside", type=float, default=0.05, help="share of the machine others may use")
    parser.add_argument("--out", type=Path, default=RESULT)
    return parser.parse_args()


def main() -> None:
    """Measure, print, write."""
    args = _arguments()
    effort = Effort(args.window_s, args.rounds, cold_starts=3, outside=args.outside)
    if args.quick:
        effort = Effort(1.5, 1, cold_starts=1, outside=args.outside)
    rows = [row for row in ROWS if not args.rows or row is FLOOR or row.name in args.rows]
    stamp = {
        "date": host.now(),
        "commit": host.commit(),
        "device": host.device(),
        "versions": host.versions(*_PACKAGES),
    }
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder, pinned({LOAD_CPU}):
        grid = Grid(rows, effort, Path(folder))
        try:
            grid.start()
            grid.measure()
        finally:
            grid.stop()
    lines = summarise(grid.windows)
    print_table(lines)
    print(f"{len(grid.voided)} windows were void")
    write_csv(args.out, lines, stamp)
    print(f"written to {args.out}")


if __name__ == "__main__":
    main()
