"""Find every kernel there is to inspect: the `variants` modules below this package's room."""

import importlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

import headrace.kernels
from headrace.kernels.variant import Variant

MODULE: Final = "variants"


def modules() -> list[str]:
    """Return the names of all `variants` modules, in order."""
    found = set()
    for root in map(Path, headrace.kernels.__path__):
        for file in root.rglob(f"{MODULE}.py"):
            found.add(".".join(("headrace.kernels", *file.relative_to(root).with_suffix("").parts)))
    return sorted(found)


def variants(arch: str, ops: Collection[str] = (), names: Collection[str] | None = None) -> Iterator[Variant]:
    """Yield what the modules (`names`, all by default) say of `arch`; only these ops, all where none is named.

    A module lists each kernel for each row of its tuned table; equal ones are yielded once.
    """
    seen = set()
    for name in modules() if names is None else names:
        for variant in importlib.import_module(name).variants(arch):
            mark = (variant.kernel.fn.__qualname__, repr(variant))
            if (not ops or variant.op in ops) and mark not in seen:
                seen.add(mark)
                yield variant
