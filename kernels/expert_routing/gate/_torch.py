"""Expert gating in torch: what serves where the kernel cannot.

Each choice becomes one integer, its order in the high half and the place in the low one, so that `topk` has no ties.
"""

from typing import Final

import torch

_EPSILON: Final = 1e-20
_LARGEST: Final = torch.finfo(torch.float32).max
_MAGNITUDE: Final = 0x7FFF_FFFF
_PLACE_BITS: Final = 32
_NOWHERE: Final = torch.iinfo(torch.int64).min


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
    values = logits.to(torch.float32)
    values = torch.where(values.isnan(), -torch.inf, values).clamp(max=_LARGEST)
    scores = torch.sigmoid(values) if scoring == "sigmoid" else torch.softmax(values, dim=1).nan_to_num(0.0)
    choice = values
    if bias is not None:
        choice = torch.where(values.isneginf(), -torch.inf, scores + bias.to(torch.float32))
    keys = _keys(choice)
    if topk_groups < num_groups:
        keys = _within_groups(keys, choice, num_groups, topk_groups, pairs=bias is not None)
    ids = keys.topk(top_k, dim=1).indices
    weights = scores.gather(1, ids)
    if renormalize:
        weights = weights / (weights.sum(1, keepdim=True) + _EPSILON)
    return weights * scale, ids.to(torch.int32)


def _keys(choice: torch.Tensor) -> torch.Tensor:
    """Return int64 keys that order as `choice` does along its last axis, NaN as -inf, equal ones by lower place."""
    choice = torch.where(choice.isnan(), -torch.inf, choice) + 0.0
    bits = choice.contiguous().view(torch.int32)
    order = torch.where(bits < 0, bits ^ _MAGNITUDE, bits).to(torch.int64)
    return (order << _PLACE_BITS) - torch.arange(choice.shape[-1], device=choice.device)


def _within_groups(
    keys: torch.Tensor, choice: torch.Tensor, num_groups: int, topk_groups: int, *, pairs: bool
) -> torch.Tensor:
    grouped = choice.view(choice.shape[0], num_groups, choice.shape[1] // num_groups)
    judged = min(2, grouped.shape[2]) if pairs else 1
    worth = grouped.topk(judged, dim=2).values.sum(2)
    best = _keys(worth).topk(topk_groups, dim=1).indices
    closed = torch.ones_like(worth, dtype=torch.bool).scatter_(1, best, value=False)
    return keys.view(grouped.shape).masked_fill(closed[:, :, None], _NOWHERE).view(keys.shape)
