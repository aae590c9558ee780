"""Which experts a token goes to and with what weight: scores, bias, groups, top-k, renormalise and scale in one pass.

`reference.py` states it in float64; README.md says how ties, NaN and infinities come out.
"""

from typing import Final, Literal

import torch

from headrace.kernels import dispatch
from headrace.kernels.checking import check_choice, check_devices, check_dtype, check_last_contiguous, check_shape
from headrace.kernels.expert_routing.gate import _torch

__all__ = ["MAX_EXPERTS", "MAX_TOP_K", "Scoring", "moe_gate", "unsupported_reason"]

Scoring = Literal["softmax", "sigmoid"]
MAX_EXPERTS: Final = 512
MAX_TOP_K: Final = 16
_SCORINGS: Final = ("softmax", "sigmoid")
_FLOATS: Final = (torch.float32, torch.float16, torch.bfloat16)


def moe_gate(
    logits: torch.Tensor,
    top_k: int,
    *,
    scoring: Scoring = "softmax",
    bias: torch.Tensor | None = None,
    num_groups: int = 1,
    topk_groups: int = 1,
    renormalize: bool = True,
    scale: float = 1.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return float32 weights [T, top_k] and int32 expert ids [T, top_k] of `logits` [T, E], the best expert first.

    bias [E] is added to the scores for the choice only; the weights are the scores without it. With num_groups > 1 the
    experts stand in equal groups, and only the best topk_groups of them are chosen from: by the sum of a group's two
    best with a bias, by its best without. Equal ones: the lower id first. A NaN or -inf logit is an absent expert: it
    comes last, with weight 0. Raises ValueError and TypeError for what does not fit together.
    """
    _check(logits, top_k, scoring=scoring, bias=bias, num_groups=num_groups, topk_groups=topk_groups)
    chosen: tuple[torch.Tensor, torch.Tensor] = _moe_gate(
        logits,
        top_k,
        bias,
        scoring=scoring,
        num_groups=num_groups,
        topk_groups=topk_groups,
        renormalize=renormalize,
        scale=float(scale),
    )
    return chosen


def unsupported_reason(experts: int, top_k: int) -> str | None:
    """Return why the kernel cannot take this shape, in a word that lasts, or None where it can."""
    if experts > MAX_EXPERTS:
        return "experts"
    return "top-k" if top_k > MAX_TOP_K else None


@torch.library.custom_op("headrace::moe_gate", mutates_args=())
def _moe_gate(
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
    reason = unsupported_reason(logits.shape[1], top_k)
    gate = _torch.gate
    if dispatch.uses_triton("moe_gate", logits.device, reason):
        from headrace.kernels.expert_routing.gate import _kernel  # noqa: PLC0415  (triton only where it runs)

        gate = _kernel.gate
    return gate(
        logits,
        top_k,
        bias,
        scoring=scoring,
        num_groups=num_groups,
        topk_groups=topk_groups,
        renormalize=renormalize,
        scale=scale,
    )


@_moe_gate.register_fake
def _(
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
    del scoring, bias, num_groups, topk_groups, renormalize, scale
    shape = (logits.shape[0], top_k)
    return logits.new_empty(shape, dtype=torch.float32), logits.new_empty(shape, dtype=torch.int32)


def _check(
    logits: torch.Tensor, top_k: int, *, scoring: str, bias: torch.Tensor | None, num_groups: int, topk_groups: int
) -> None:
    check_shape("logits", logits, "T", "E")
    check_dtype("logits", logits, *_FLOATS)
    check_choice("scoring", scoring, _SCORINGS)
    experts = logits.shape[1]
    if bias is not None:
        check_shape("bias", bias, experts)
        check_dtype("bias", bias, *_FLOATS)
    check_devices(logits=logits, bias=bias)
    check_last_contiguous(logits=logits, bias=bias)
    if num_groups < 1 or experts % num_groups:
        raise ValueError(f"num_groups={num_groups} does not divide {experts} experts into equal groups")
    if not 1 <= topk_groups <= num_groups:
        raise ValueError(f"topk_groups={topk_groups}; wanted 1..{num_groups}, the number of groups")
    open_to_choice = experts // num_groups * topk_groups
    if not 1 <= top_k <= open_to_choice:
        raise ValueError(
            f"top_k={top_k}; wanted 1..{open_to_choice}, the experts of {topk_groups} of {num_groups} groups"
        )
