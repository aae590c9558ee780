"""Expert gating in torch: what serves where the kernel cannot. A stable sort decides, so that ties come out by id."""

from typing import Final

import torch

_EPSILON: Final = 1e-20
_LARGEST: Final = torch.finfo(torch.float32).max


def gate(
    logits: torch.Tensor,
    top_k: int,
    bias: torch.Tensor | None,
    *,
    scoring: str,
    num_groups: int,
    topk_groups: int,
    renormalize: bool,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return float32 weights and int32 ids [T, top_k]; see `moe_gate`."""
    values = _numbers(logits.to(torch.float32)).clamp(max=_LARGEST)
    scores = torch.sigmoid(values) if scoring == "sigmoid" else torch.softmax(values, dim=1).nan_to_num(0.0)
    choice = values
    if bias is not None:
        choice = _numbers((scores + bias.to(torch.float32)).where(~values.isneginf(), -torch.inf))
    if topk_groups < num_groups:
        experts = _open_experts(choice, num_groups, topk_groups, pairs=bias is not None)
        ids = experts.gather(1, _best(choice.gather(1, experts), top_k))
    else:
        ids = _best(choice, top_k)
    weights = scores.gather(1, ids)
    if renormalize:
        weights = weights / (weights.sum(1, keepdim=True) + _EPSILON)
    return weights * scale, ids.to(torch.int32)


def _numbers(values: torch.Tensor) -> torch.Tensor:
    """Return `values` with -inf for NaN."""
    return torch.where(values.isnan(), -torch.inf, values)


def _best(worth: torch.Tensor, count: int) -> torch.Tensor:
    return torch.sort(worth, dim=1, descending=True, stable=True).indices[:, :count]


def _open_experts(choice: torch.Tensor, num_groups: int, topk_groups: int, *, pairs: bool) -> torch.Tensor:
    """Return the experts of the best groups of each row, ascending: [T, topk_groups * size of a group]."""
    size = choice.shape[1] // num_groups
    grouped = choice.view(choice.shape[0], num_groups, size)
    worth = grouped.topk(min(2, size) if pairs else 1, dim=2).values.sum(2)
    groups = _best(_numbers(worth), topk_groups).sort(dim=1).values
    return (groups[:, :, None] * size + torch.arange(size, device=choice.device)).flatten(1)
