"""The weighted sum over a token's experts, in the order of its list, by the kernel or by torch."""

import torch

from headrace.kernels import dispatch, tuned


def combine(each: torch.Tensor, w: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Return [T, H] in the type of `each` [T * k, H]: the sum of w[t, j] * each[t * k + j] over j, in f32, in order.

    Rows whose id is negative are left out, whatever they hold. w: f32 [T, k]; ids: i32 [T, k].
    """
    tokens, top_k = ids.shape
    if not dispatch.uses_triton("fused_experts", each.device):
        return _in_torch(each, w, ids)
    from headrace.kernels.expert_routing.fused._kernel import combine_kernel  # noqa: PLC0415  (triton may be missing)

    hidden = each.shape[1]
    out = each.new_empty((tokens, hidden))
    tile = tuned.choose("combine", tuned.arch(each.device), h=hidden)
    with torch.cuda.device_of(out):  # type: ignore[no-untyped-call]  # torch leaves it so
        combine_kernel[tokens, -(-hidden // tile["block_h"])](
            each,
            w,
            ids,
            out,
            hidden,
            TOP_K=top_k,
            BLOCK_H=tile["block_h"],
            num_warps=tile["num_warps"],
            num_stages=tile["num_stages"],
        )
    return out


def _in_torch(each: torch.Tensor, w: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    tokens, top_k = ids.shape
    rows = each.view(tokens, top_k, -1)
    absent = ids < 0
    total = torch.zeros((tokens, each.shape[1]), dtype=torch.float32, device=each.device)
    for j in range(top_k):
        row = rows[:, j].to(torch.float32) * w[:, j : j + 1]
        total += row.masked_fill_(absent[:, j : j + 1], 0.0)
    return total.to(each.dtype)
