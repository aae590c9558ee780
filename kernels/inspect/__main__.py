"""`python -m headrace.kernels.inspect`: what every kernel compiles to, with no GPU; `--check` holds the budgets."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from headrace.kernels.inspect import budgets, report, roofline
from headrace.kernels.inspect.aot import ARCHES
from headrace.kernels.inspect.bytes_moved import measure_apart
from headrace.kernels.inspect.worker import Request, inspect_all

_DEFAULT_JOBS = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Compile, count, print; return 1 where `--check` finds a broken budget."""
    wanted = _parser().parse_args(arguments)
    request = Request(arches=wanted.arch or ARCHES, ops=wanted.op or (), replaced=not wanted.ours_only)
    facts = inspect_all(request, cache=wanted.cache, jobs=wanted.jobs)
    moved = [] if wanted.no_bytes else measure_apart(request.ops)
    works = [work for work in roofline.named() if not request.ops or work.op in request.ops]
    broken = budgets.breaches(facts, moved, budgets.load())
    if wanted.csv:
        with Path(wanted.csv).open("w", encoding="utf-8", newline="") as out:
            report.write_csv(facts, moved, works, out)
    if wanted.json:
        _say([report.document(facts, moved, works, broken)])
    else:
        _say([f"All figures are {report.LABEL}.", *report.table(facts), *report.further(moved, works)])
    if not wanted.check:
        return 0
    if not any(one.whose == "headrace" for one in facts):
        sys.stderr.write(f"breach: nothing to check: no kernel of ours for --op {' '.join(request.ops) or 'any'}\n")
        return 1
    sys.stderr.writelines(f"breach: {line}\n" for line in broken)
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m headrace.kernels.inspect", description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1, a line for each, where a budget is broken")
    parser.add_argument("--arch", action="append", choices=ARCHES, help="only this one; may be given again")
    parser.add_argument("--op", action="append", help="only this op, as in moe_gemm; may be given again")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    parser.add_argument("--csv", metavar="PATH", help="also write all figures there, one a line")
    parser.add_argument("--cache", metavar="FOLDER", help="keep what was compiled there for the next time")
    parser.add_argument("--ours-only", action="store_true", help="leave out the kernels of vLLM that these replace")
    parser.add_argument("--no-bytes", action="store_true", help="leave out counting bytes in the interpreter")
    jobs = min(_DEFAULT_JOBS, os.cpu_count() or 1)
    parser.add_argument("--jobs", type=int, default=jobs, help=f"processes that compile at once (here {jobs})")
    return parser


def _say(lines: Sequence[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
