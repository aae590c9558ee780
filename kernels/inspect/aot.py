"""Compile a variant ahead of time, with no GPU and no driver. Only for a process whose TRITON_INTERPRET is unset."""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final, TypeAlias

from headrace.kernels.inspect import amdgcn, sass
from headrace.kernels.inspect.facts import Counts, Facts, Whose
from headrace.kernels.inspect.load_lines import Loads, loads
from headrace.kernels.inspect.occupancy import blocks_per_multiprocessor, occupancy
from headrace.kernels.variant import Variant

Compiled: TypeAlias = Any  # what Triton returns, which has no types
ARCHES: Final = ("sm_80", "sm_90", "sm_100", "gfx942")
FP_FUSION: Final = "TRITON_DEFAULT_FP_FUSION"
_A_WAVE: Final = 64
_A_WARP: Final = 32
_DIVISIBLE_BY_16: Final = (("tt.divisibility", 16),)


def describe(variant: Variant, arch: str, whose: Whose = "headrace") -> dict[str, Any]:
    """Return the fields of the facts that are known before compiling."""
    tile = ",".join(f"{name}={_short(value)}" for name, value in variant.constants.items())
    return {
        "whose": whose,
        "op": variant.op,
        "kernel": variant.kernel.fn.__name__,
        "arch": arch,
        "role": variant.role,
        "shape": variant.shape,
        "tile": tile,
        "num_warps": variant.num_warps,
        "num_stages": variant.num_stages,
        "reads_weights": bool(variant.weights),
    }


def inspect_variant(variant: Variant, arch: str, whose: Whose = "headrace") -> Facts:
    """Compile `variant` for `arch` and return what its code is like; what the compiler refuses is in `error`."""
    from triton.compiler.errors import CompilationError  # noqa: PLC0415  (only the worker has triton's compiler)
    from triton.runtime.errors import OutOfResources, PTXASError  # noqa: PLC0415  (same)

    known = describe(variant, arch, whose)
    try:
        built = compile_variant(variant, arch)
    except (CompilationError, OutOfResources, PTXASError, RuntimeError, ValueError, TypeError, AssertionError) as why:
        return Facts(**known, error=f"{type(why).__name__}: {(str(why).strip().splitlines() or [''])[-1][:300]}")
    held, counts = _measure(built, arch, loads(variant.kernel, variant.weights))
    shared = int(built.metadata.shared)
    warps = int(built.metadata.num_warps)
    blocks = blocks_per_multiprocessor(arch, registers=held.registers, shared_bytes=shared, num_warps=warps)
    return Facts(
        **known,
        registers=held.registers,
        spill_bytes=held.stack_bytes,
        shared_bytes=shared,
        ctas_per_sm=blocks,
        occupancy=occupancy(arch, blocks=blocks, num_warps=warps),
        counts=counts,
    )


def compile_variant(variant: Variant, arch: str) -> Compiled:
    """Return Triton's compiled kernel: `.asm` by stage, `.metadata`."""
    import triton  # noqa: PLC0415  (not where nothing is compiled)
    from triton.backends.compiler import GPUTarget  # noqa: PLC0415  (same)
    from triton.compiler import ASTSource  # noqa: PLC0415  (same)

    if os.environ.get("TRITON_INTERPRET") == "1":
        raise RuntimeError("TRITON_INTERPRET=1: kernels are interpreted in this process; compile them in another")
    names = variant.kernel.arg_names
    missing = [name for name in names if name not in variant.types and name not in variant.constants]
    if missing:
        raise ValueError(f"{variant.kernel.fn.__name__} has no type or value for {', '.join(missing)}")
    source = ASTSource(
        fn=variant.kernel,
        signature={name: variant.types.get(name, "constexpr") for name in names},
        constexprs={(names.index(name),): value for name, value in variant.constants.items()},
        attrs={(names.index(name),): [list(one) for one in _DIVISIBLE_BY_16] for name in sorted(variant.aligned)},
    )
    target = GPUTarget("hip", arch, _A_WAVE) if arch.startswith("gfx") else GPUTarget("cuda", int(arch[3:]), _A_WARP)
    return triton.compile(
        source, target=target, options={"num_warps": variant.num_warps, "num_stages": variant.num_stages}
    )


def _measure(built: Compiled, arch: str, found: Loads) -> tuple[sass.Resources, Counts]:
    if arch.startswith("gfx"):
        text = built.asm["amdgcn"]
        return amdgcn.resources(text), amdgcn.count(text, found)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as cubin:
        Path(cubin.name).write_bytes(built.asm["cubin"])
        held = sass.resources(_tool("cuobjdump", "-res-usage", cubin.name))
        return held, sass.count(_tool("nvdisasm", "-c", "-g", cubin.name), found)


def _tool(name: str, *arguments: str) -> str:
    """Run one of the tools that come with Triton."""
    from triton.backends import nvidia  # noqa: PLC0415  (only the worker has it)

    path = Path(next(iter(nvidia.__path__))) / "bin" / name
    done = subprocess.run([path, *arguments], check=True, capture_output=True, text=True)  # noqa: S603  (Triton's own)
    return done.stdout


def _short(value: object) -> str:
    return str(getattr(value, "name", value))
