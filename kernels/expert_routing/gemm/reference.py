"""The plainest statement of the grouped expert GEMM, one row of the result at a time, in float64."""

import torch

from headrace.kernels.quant_layout import restore


def moe_gemm(
    a: torch.Tensor,
    w: torch.Tensor,
    scale: torch.Tensor | None,
    zp: torch.Tensor | None,
    align: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    *,
    top_k: int,
    mul_weight: torch.Tensor | None,
    swiglu: bool = False,
) -> torch.Tensor:
    """Return float64 [T * top_k, N], or [T * top_k, N / 2] with swiglu."""
    sorted_ids, expert_ids, num_post = align
    rows, n = a.shape[0] * top_k, w.shape[1]
    out = torch.zeros((rows, n // 2 if swiglu else n), dtype=torch.float64)
    block_m = sorted_ids.numel() // max(1, expert_ids.numel())
    for place in range(int(num_post)):
        row, expert = int(sorted_ids[place]), int(expert_ids[place // block_m])
        if row >= rows or expert < 0:
            continue
        one = None if scale is None else scale[expert]
        weight = restore(w[expert], one, None if zp is None else zp[expert], k=a.shape[1], dtype=torch.float64)
        result = weight @ a[row // top_k].to(torch.float64)
        if swiglu:
            gate, up = result[: n // 2], result[n // 2 :]
            result = gate * torch.sigmoid(gate) * up
        out[row] = result if mul_weight is None else result * mul_weight[row].to(torch.float64)
    return out
