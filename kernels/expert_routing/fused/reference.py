"""The plainest statement of an expert layer: one token, one expert at a time, in float64."""

import torch

from headrace.kernels.quant_layout import ExpertQuant, restore


def fused_experts(
    x: torch.Tensor,
    w13: torch.Tensor,
    w2: torch.Tensor,
    w: torch.Tensor,
    ids: torch.Tensor,
    *,
    quant: ExpertQuant | None = None,
) -> torch.Tensor:
    """Return float64 [T, H]."""
    hidden, inner = x.shape[1], w13.shape[1] // 2
    if quant is None:
        gate_up, down = w13.to(torch.float64), w2.to(torch.float64)
    else:
        gate_up = restore(w13, quant.w13_scale, quant.w13_zp, k=hidden, dtype=torch.float64)
        down = restore(w2, quant.w2_scale, quant.w2_zp, k=inner, dtype=torch.float64)
    out = torch.zeros(x.shape, dtype=torch.float64)
    for token, chosen in enumerate(ids.tolist()):
        for j, expert in enumerate(chosen):
            if expert >= 0:
                both = gate_up[expert] @ x[token].to(torch.float64)
                gate, up = both[:inner], both[inner:]
                out[token] += w[token, j].to(torch.float64) * (down[expert] @ (gate * torch.sigmoid(gate) * up))
    return out
