"""The plainest statement of expert gating, in float64: one line of mathematics at a time, for tests."""

from typing import Final

import torch

EPSILON: Final = 1e-20
LARGEST: Final = torch.finfo(torch.float32).max


def gate(
    logits: torch.Tensor,
    top_k: int,
    *,
    scoring: str = "softmax",
    bias: torch.Tensor | None = None,
    num_groups: int = 1,
    topk_groups: int = 1,
    renormalize: bool = True,
    scale: float = 1.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return float64 weights and int64 ids [T, top_k] of `logits` [T, E], as `moe_gate` defines them."""
    values = present(logits)
    scores = score(values, scoring)
    choice = desire(values, scoring, bias)
    if topk_groups < num_groups:
        choice = within_groups(choice, num_groups, topk_groups, pairs=bias is not None)
    ids = best(choice, top_k)
    weights = scores.gather(1, ids)
    if renormalize:
        weights = weights / (weights.sum(1, keepdim=True) + EPSILON)
    return weights * scale, ids


def present(logits: torch.Tensor) -> torch.Tensor:
    """Return the logits as float64: NaN as -inf (absent), +inf as the largest float32."""
    values = logits.to(torch.float64)
    return values.masked_fill(values.isnan(), -torch.inf).clamp(max=LARGEST)


def score(values: torch.Tensor, scoring: str) -> torch.Tensor:
    """Return the scores that the weights are made of; an absent expert has 0."""
    if scoring == "sigmoid":
        return torch.sigmoid(values)
    return torch.softmax(values, dim=1).nan_to_num(0.0) if values.numel() else values


def desire(values: torch.Tensor, scoring: str, bias: torch.Tensor | None) -> torch.Tensor:
    """Return what experts are chosen by: score + bias, or the logits, which rank alike where there is no bias."""
    if bias is None:
        return values
    return (score(values, scoring) + bias.to(torch.float64)).masked_fill(values.isneginf(), -torch.inf)


def within_groups(choice: torch.Tensor, num_groups: int, topk_groups: int, *, pairs: bool) -> torch.Tensor:
    """Return `choice` with NaN, lower than all, outside the best groups; pairs: judge a group by its two best."""
    grouped = choice.view(choice.shape[0], num_groups, choice.shape[1] // num_groups)
    judged = min(2, grouped.shape[2]) if pairs else 1
    worth = grouped.sort(dim=2, descending=True).values[:, :, :judged].sum(2)
    chosen = torch.zeros_like(worth, dtype=torch.bool).scatter_(1, best(worth, topk_groups), 1)
    return grouped.masked_fill(~chosen[:, :, None], torch.nan).reshape(choice.shape)


def best(worth: torch.Tensor, count: int) -> torch.Tensor:
    """Return the places of the `count` largest of each row, equal ones in order, NaN after everything."""
    columns = range(worth.shape[1])
    rows = [sorted(columns, key=lambda place: (row[place] != row[place], -row[place], place)) for row in worth.tolist()]
    return torch.tensor([row[:count] for row in rows], dtype=torch.int64, device=worth.device).view(-1, count)
