"""The process that compiles: `python -m headrace.kernels.inspect.worker` reads a request, writes one line a kernel.

It is a process of its own because Triton decides when it is imported whether kernels are compiled or interpreted, and
because what these kernels replace needs other packages to be shown a Triton that their CPU builds hide.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Final, TextIO

from headrace.kernels.inspect import aot, catalogue
from headrace.kernels.inspect.facts import Facts, Whose, from_json, to_json
from headrace.kernels.variant import Variant

HIDDEN: Final = ("TRITON_INTERPRET",)
CACHE: Final = "TRITON_CACHE_DIR"


class InspectionFailed(RuntimeError):
    """The process that compiles ended before it was done."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to compile. modules: where variants are looked for, all of ours where None. share: (which, of how many)."""

    arches: Sequence[str] = aot.ARCHES
    ops: Sequence[str] = ()
    modules: Sequence[str] | None = None
    replaced: bool = False
    share: tuple[int, int] = (0, 1)


def inspect_all(request: Request, *, cache: str | None = None, jobs: int = 1) -> list[Facts]:
    """Compile what is asked for in `jobs` processes and return the facts, in a fixed order.

    cache: a folder for what was compiled, kept between calls; without one everything is compiled anew.
    """
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        shares = [replace(request, share=(each, jobs)) for each in range(jobs)]
        found = list(pool.map(lambda share: _run(share, cache or folder), shares))
    return sorted((one for several in found for one in several), key=lambda one: (one.op, one.whose, one.name))


def serve(request: Request, out: TextIO) -> None:
    """Compile the request's share in this process and write its facts as they come."""
    for place, (variant, arch, whose) in enumerate(_wanted(request)):
        if place % request.share[1] == request.share[0]:
            out.write(to_json(aot.inspect_variant(variant, arch, whose)) + "\n")
            out.flush()


def _wanted(request: Request) -> Iterator[tuple[Variant, str, Whose]]:
    for arch in request.arches:
        for variant in catalogue.variants(arch, request.ops, request.modules):
            yield variant, arch, "headrace"
    if request.replaced:
        from headrace.kernels.inspect import replaced  # noqa: PLC0415  (it imports vLLM, which takes half a minute)

        for arch in request.arches:
            for variant in replaced.variants(arch, request.ops):
                yield variant, arch, "vllm"


def _run(request: Request, cache: str) -> list[Facts]:
    environment = {name: value for name, value in os.environ.items() if name not in HIDDEN}
    environment |= {CACHE: cache, "OMP_NUM_THREADS": "1"}
    environment.setdefault(aot.FP_FUSION, "1")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "headrace.kernels.inspect.worker"],
        input=json.dumps(asdict(request)),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise InspectionFailed(f"compiling ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return [from_json(line) for line in done.stdout.splitlines()]


def main() -> None:
    """Serve the request on standard input."""
    given = json.loads(sys.stdin.read())
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        serve(Request(**given | {"share": tuple(given["share"])}), answers)


if __name__ == "__main__":
    main()
