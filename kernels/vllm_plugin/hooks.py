"""The hooks: where each enters vLLM, and what stands in for it where it must not or cannot.

A stand-in keeps names that a command line may carry (`CUSTOM`, `headrace_int8`) meaning something, so that the kill
switch and a failing hook leave an engine that serves with vLLM's own code.
"""

from collections.abc import Callable, Iterator
from typing import Final

import vllm
from vllm.model_executor.custom_op import op_registry_oot
from vllm.platforms import current_platform
from vllm.v1.attention.backends.registry import AttentionBackendEnum, register_backend

from headrace.kernels.vllm_plugin import ATTENTION, MOE, QUANTIZATION, versions
from headrace.kernels.vllm_plugin.options import Options

HERE: Final = "headrace.kernels.vllm_plugin"
CPU_BACKEND: Final = f"{HERE}.attention_cpu.SparseCpuBackend"
TRITON_BACKEND: Final = f"{HERE}.attention_triton.SparseTritonBackend"
VLLM_TRITON: Final = "vllm.v1.attention.backends.triton_attn.TritonAttentionBackend"
MOE_METHOD: Final = "UnquantizedFusedMoEMethod"

Install = Callable[[], str]
Hook = tuple[str, Install, Install]


def of(wanted: Options) -> Iterator[Hook]:
    """Yield name, installer and stand-in of each hook that is switched on."""
    if wanted.attention is not None:
        yield ATTENTION, install_attention, stand_in_for_attention
    if wanted.moe is not None:
        yield MOE, install_moe, stand_in_for_moe
        yield QUANTIZATION, install_quantization, stand_in_for_quantization


def install_attention() -> str:
    """Register the sparse backend: as CUSTOM, or in the place of CPU_ATTN, which is all the CPU platform asks for."""
    versions.check_version(vllm.__version__)
    if current_platform.is_cpu():
        from headrace.kernels.vllm_plugin import attention_cpu  # noqa: PLC0415  (only where the platform has it)

        register_backend(AttentionBackendEnum.CPU_ATTN, CPU_BACKEND)
        return f"CPU_ATTN = {attention_cpu.SparseCpuBackend.__qualname__}"
    from headrace.kernels.vllm_plugin import attention_triton  # noqa: PLC0415  (only where the platform has it)

    register_backend(AttentionBackendEnum.CUSTOM, TRITON_BACKEND)
    return f"CUSTOM = {attention_triton.SparseTritonBackend.__qualname__}"


def stand_in_for_attention() -> str:
    """Let CUSTOM be vLLM's own Triton backend; the CPU platform needs none."""
    if current_platform.is_cpu():
        return "CPU_ATTN is vLLM's own"
    register_backend(AttentionBackendEnum.CUSTOM, VLLM_TRITON)
    return "CUSTOM is vLLM's TRITON_ATTN"


def install_moe() -> str:
    """Register the method that serves unquantized experts."""
    versions.check_version(vllm.__version__)
    from headrace.kernels.vllm_plugin.moe_method import (  # noqa: PLC0415  (heavy, and may not fit)
        HeadraceMoeMethod,
        UnquantizedFusedMoEMethod,
    )

    if op_registry_oot.get(MOE_METHOD) is not HeadraceMoeMethod:
        UnquantizedFusedMoEMethod.register_oot(HeadraceMoeMethod)
    return f"{MOE_METHOD} = {HeadraceMoeMethod.__qualname__}"


def stand_in_for_moe() -> str:
    """Nothing names the method, so nothing has to stand in for it."""
    return f"{MOE_METHOD} is vLLM's own"


def install_quantization() -> str:
    """Register `headrace_int8` and `headrace_int4`."""
    versions.check_version(vllm.__version__)
    from headrace.kernels.vllm_plugin import quant_config  # noqa: PLC0415  (heavy, and may not fit)

    return quant_config.register_all()


def stand_in_for_quantization() -> str:
    """Let both names mean experts as the checkpoint has them."""
    from headrace.kernels.vllm_plugin import quant_stand_in  # noqa: PLC0415  (heavy, and may not fit)

    return quant_stand_in.register_all()
