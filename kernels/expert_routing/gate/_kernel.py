"""The Triton kernel of expert gating: a warp holds whole rows of logits and takes out the best one k times.

What experts are chosen by becomes int32 keys of the same order, because the least and greatest of int32 across a warp
are one instruction each where a float takes five shuffles; no step needs a barrier.
"""

import torch
import triton
import triton.language as tl

from headrace.kernels import tuned

_INT_MIN = tl.constexpr(-(2**31))
_INT_MAX = tl.constexpr(2**31 - 1)
_LARGEST = tl.constexpr(3.4028234663852886e38)
_EPSILON = tl.constexpr(1e-20)


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
    """Launch the kernel; see `moe_gate`."""
    tokens, experts = logits.shape
    weights = torch.empty((tokens, top_k), dtype=torch.float32, device=logits.device)
    ids = torch.empty((tokens, top_k), dtype=torch.int32, device=logits.device)
    if not tokens:
        return weights, ids
    row = tuned.choose("moe_gate", tuned.arch(logits.device), t=tokens)
    constants = constants_of(
        experts,
        top_k,
        scoring=scoring,
        has_bias=bias is not None,
        num_groups=num_groups,
        topk_groups=topk_groups,
        renormalize=renormalize,
    )
    with torch.cuda.device_of(logits):
        gate_kernel[(triton.cdiv(tokens, row["block_t"]),)](
            logits,
            bias if bias is not None else logits,
            weights,
            ids,
            tokens,
            logits.stride(0),
            scale,
            **constants,
            BLOCK_T=row["block_t"],
            num_warps=row["num_warps"],
            num_stages=row["num_stages"],
        )
    return weights, ids


def constants_of(
    experts: int,
    top_k: int,
    *,
    scoring: str,
    has_bias: bool,
    num_groups: int,
    topk_groups: int,
    renormalize: bool,
) -> dict[str, int | bool]:
    """Return the compile-time constants of a call, all but the tile's."""
    size = experts // num_groups
    grouped = topk_groups < num_groups
    return {
        "GROUPS": num_groups if grouped else 1,
        "GROUP_SIZE": size if grouped else experts,
        "OPEN_GROUPS": topk_groups if grouped else 1,
        "TOP_K": top_k,
        "SIGMOID": scoring == "sigmoid",
        "HAS_BIAS": has_bias,
        "RENORMALIZE": renormalize,
        "BLOCK_G": triton.next_power_of_2(num_groups) if grouped else 1,
        "BLOCK_S": triton.next_power_of_2(size) if grouped else max(32, triton.next_power_of_2(experts)),
        "BLOCK_K": triton.next_power_of_2(top_k),
    }


@triton.jit
def gate_kernel(
    logits_ptr,  # [T, E], rows stride_t apart
    bias_ptr,  # [E], not read without HAS_BIAS
    weights_ptr,  # [T, TOP_K] f32
    ids_ptr,  # [T, TOP_K] i32
    T,
    stride_t,
    scale,
    GROUPS: tl.constexpr,
    GROUP_SIZE: tl.constexpr,
    OPEN_GROUPS: tl.constexpr,
    TOP_K: tl.constexpr,
    SIGMOID: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    RENORMALIZE: tl.constexpr,
    BLOCK_G: tl.constexpr,
    BLOCK_S: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_T: tl.constexpr,
):
    # One row of columns holds every group padded to BLOCK_S places: expert = group * GROUP_SIZE + place.
    token = tl.program_id(0).to(tl.int64) * BLOCK_T + tl.arange(0, BLOCK_T)
    column = tl.arange(0, BLOCK_G * BLOCK_S)
    group = column // BLOCK_S
    expert = group * GROUP_SIZE + column % BLOCK_S
    is_expert = (group < GROUPS) & (column % BLOCK_S < GROUP_SIZE)
    is_token = token < T
    row_ptr = logits_ptr + token[:, None] * stride_t
    mask = is_token[:, None] & is_expert[None, :]
    x = _present(tl.load(row_ptr + expert[None, :], mask=mask, other=float("-inf")))  # [BLOCK_T, columns]

    top = tl.zeros([BLOCK_T], tl.float32)
    total = top + 1.0
    if not SIGMOID and (HAS_BIAS or not RENORMALIZE):
        top, total = _softmax_terms(x)
    choice = x
    if HAS_BIAS:
        bias = tl.load(bias_ptr + expert, mask=is_expert, other=0.0).to(tl.float32)
        score = _score(x, top, total, SIGMOID)
        choice = tl.where(x == float("-inf"), x, score + bias[None, :])
    key = tl.where(is_expert[None, :], _key(choice), _INT_MIN)
    if OPEN_GROUPS < GROUPS:
        is_open = _open_groups(choice, is_expert, group, GROUP_SIZE, OPEN_GROUPS, HAS_BIAS, BLOCK_G, BLOCK_S)
        key = tl.where(is_open, key, _INT_MIN)

    place = tl.arange(0, BLOCK_K)
    ids = _take_best(key, expert, place, TOP_K, BLOCK_T, BLOCK_K)

    out_mask = is_token[:, None] & (place < TOP_K)[None, :]
    picked = _present(tl.load(row_ptr + ids, mask=out_mask, other=float("-inf")))  # [BLOCK_T, BLOCK_K]
    if not SIGMOID and not HAS_BIAS and RENORMALIZE:
        top, total = _softmax_terms(picked)  # the best of all is among them, and their sum is all that counts
    weights = _score(picked, top, total, SIGMOID)
    if RENORMALIZE:
        weights = weights / (tl.sum(weights, 1) + _EPSILON)[:, None]
    out = token[:, None] * TOP_K + place[None, :]
    tl.store(weights_ptr + out, weights * scale, mask=out_mask)
    tl.store(ids_ptr + out, ids, mask=out_mask)


@triton.jit
def _present(x):
    # As float32: NaN is an absent expert, +inf the largest number, so that no inf - inf follows.
    x = x.to(tl.float32)
    return tl.where(x == x, tl.minimum(x, _LARGEST), float("-inf"))  # noqa: PLR0124  (false for NaN only)


@triton.jit
def _softmax_terms(x):
    # The greatest of each row and the sum of its exponentials; 0 and 1 for a row without a single expert.
    top = tl.max(x, 1)
    top = tl.where(top == float("-inf"), 0.0, top)
    total = tl.sum(tl.exp(x - top[:, None]), 1)
    return top, tl.where(total == 0.0, 1.0, total)


@triton.jit
def _score(x, top, total, SIGMOID: tl.constexpr):
    if SIGMOID:
        return 1.0 / (1.0 + tl.exp(-x))
    return tl.exp(x - top[:, None]) / total[:, None]


@triton.jit
def _key(value):
    # int32 that orders as float32 does; NaN as -inf, both zeros alike.
    value = tl.where(value == value, value, float("-inf"))  # noqa: PLR0124  (false for NaN only)
    bits = tl.where(value == 0.0, 0.0, value).to(tl.int32, bitcast=True)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


@triton.jit
def _take_best(key, expert, place, TOP_K: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_K: tl.constexpr):
    # The ids of the TOP_K greatest keys, the lower of equal ones first: [BLOCK_T, BLOCK_K]. No real key is _INT_MIN.
    ids = tl.zeros([BLOCK_T, BLOCK_K], tl.int32)
    for turn in range(TOP_K):
        best = tl.max(key, 1)
        chosen = tl.min(tl.where(key == best[:, None], expert[None, :], _INT_MAX), 1)
        ids = tl.where(place[None, :] == turn, chosen[:, None], ids)
        key = tl.where(expert[None, :] == chosen[:, None], _INT_MIN, key)
    return ids


@triton.jit
def _open_groups(
    choice,
    is_expert,
    group,
    GROUP_SIZE: tl.constexpr,
    OPEN_GROUPS: tl.constexpr,
    PAIRS: tl.constexpr,
    BLOCK_G: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    # Which columns stand in the OPEN_GROUPS best groups: [BLOCK_T, columns].
    BLOCK_T: tl.constexpr = choice.shape[0]
    grouped = tl.reshape(tl.where(is_expert[None, :], choice, float("-inf")), [BLOCK_T, BLOCK_G, BLOCK_S])
    worth = tl.max(grouped, 2)
    if PAIRS and GROUP_SIZE > 1:
        place = tl.arange(0, BLOCK_S)[None, None, :]
        first = tl.min(tl.where(grouped == worth[:, :, None], place, BLOCK_S), 2)
        worth += tl.max(tl.where(place == first[:, :, None], float("-inf"), grouped), 2)
    worth_key = tl.broadcast_to(_key(worth)[:, :, None], [BLOCK_T, BLOCK_G, BLOCK_S])
    worth_key = tl.where(is_expert[None, :], tl.reshape(worth_key, [BLOCK_T, BLOCK_G * BLOCK_S]), _INT_MIN)
    is_open = tl.full([BLOCK_T, BLOCK_G * BLOCK_S], 0, tl.int1)
    for _ in range(OPEN_GROUPS):
        best = tl.max(worth_key, 1)
        chosen = tl.min(tl.where(worth_key == best[:, None], group[None, :], BLOCK_G), 1)
        hit = group[None, :] == chosen[:, None]
        is_open = is_open | hit
        worth_key = tl.where(hit, _INT_MIN, worth_key)
    return is_open
