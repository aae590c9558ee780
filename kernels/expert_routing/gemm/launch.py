"""Runs one grouped product into a buffer that is there, by the kernel or by torch; `fused_experts` comes here too."""

from typing import Final

import torch

from headrace.kernels import dispatch, tuned
from headrace.kernels.expert_routing.gemm import _torch
from headrace.kernels.expert_routing.gemm.product import Product
from headrace.kernels.quant_layout import BYTE_BITS, INT4_BITS

OP: Final = "moe_gemm"
LEAST_BLOCK_M: Final = 16
INT4_WORD: Final = 8
LARGE_BLOCK_M: Final = 64


def multiply(product: Product, align: tuple[torch.Tensor, torch.Tensor, torch.Tensor], out: torch.Tensor) -> None:
    """Write the rows of `out` [T * top_k, N or N / 2] that `align` names; the others are left as they are."""
    if not out.numel() or not align[1].numel():
        return
    if not product.a.shape[1]:
        out.zero_()
        return
    block_m = align[0].numel() // align[1].numel()
    tile = tuned.choose(OP, tuned.arch(out.device), block_m=block_m, bits=product.bits)
    if dispatch.uses_triton(OP, out.device, refusal(product, block_m, tile["block_k"])):
        _launch(product, align, out, tile)
    else:
        _torch.multiply(product, align, out)


def refusal(product: Product, block_m: int, block_k: int) -> str | None:
    """Return why the kernel cannot take this product, in a short word, or None where it can."""
    if block_m < LEAST_BLOCK_M or block_m & (block_m - 1):
        return "block-m"
    group = product.group
    if group and (group & (group - 1) or (block_k % group and group % block_k)):
        return "group-size"
    if product.bits == INT4_BITS and not _is_whole_words(product.w, product.a.shape[1]):
        return "int4-alignment"
    return None


def _is_whole_words(w: torch.Tensor, k: int) -> bool:
    starts = (w.storage_offset(), w.stride(0), w.stride(1))
    return k % INT4_WORD == 0 and all(step % 4 == 0 for step in starts)


def _launch(
    product: Product,
    align: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    out: torch.Tensor,
    tile: dict[str, int],
) -> None:
    from headrace.kernels.expert_routing.gemm._kernel import moe_gemm_kernel  # noqa: PLC0415  (triton may be missing)

    sorted_ids, expert_ids, num_post = align
    a, bits = product.a, product.bits
    w = product.w.view(torch.int32) if bits == INT4_BITS else product.w
    scale = product.scale if product.scale is not None else w
    zp = product.zp if product.zp is not None else w
    blocks, n = expert_ids.numel(), w.shape[1]
    block_m = sorted_ids.numel() // blocks
    with torch.cuda.device_of(out):  # type: ignore[no-untyped-call]  # torch leaves it so
        moe_gemm_kernel[blocks * -(-n // tile["block_n"]),](
            a,
            w,
            scale,
            zp,
            product.mul_weight if product.mul_weight is not None else num_post,
            out,
            sorted_ids,
            expert_ids,
            num_post,
            n,
            a.shape[1],
            w.shape[2],
            out.shape[0],
            w.shape[0],
            blocks,
            a.stride(0),
            w.stride(0),
            w.stride(1),
            scale.stride(0),
            scale.stride(1),
            zp.stride(0),
            zp.stride(1),
            out.stride(0),
            **constants(product, block_m, tile),
            num_warps=tile["num_warps"],
            num_stages=tile["num_stages"],
        )


def constants(product: Product, block_m: int, tile: dict[str, int]) -> dict[str, int | bool]:
    """Return the kernel's compile-time arguments for a product."""
    bits = product.bits
    return {
        "TOP_K": product.top_k,
        "INTEGER": bits <= BYTE_BITS,
        "INT4": bits == INT4_BITS,
        "GROUP": product.group,
        "HAS_ZP": product.zp is not None,
        "SWIGLU": product.swiglu,
        "HAS_MUL": product.mul_weight is not None,
        "PERMUTE": bits <= BYTE_BITS and block_m < LARGE_BLOCK_M,
        "BLOCK_M": block_m,
        "BLOCK_N": tile["block_n"],
        "BLOCK_K": tile["block_k"],
        "GROUP_M": tile["group_m"],
    }
