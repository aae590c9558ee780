"""How near a kernel's result must be to a float64 reference: by the type it is rounded to and the length of sums."""

import math

import torch


def close(got: torch.Tensor, want_f64: torch.Tensor, dtype: torch.dtype, k: int, *, c: float = 4.0) -> None:
    """Raise AssertionError unless |got - want| <= c * eps(dtype) * sqrt(k) * max|want| everywhere.

    want_f64: the reference, computed in float64 from the very inputs the kernel had. dtype: the coarsest type that a
    value was rounded to on the way. k: how many products a sum has. NaN and infinities must stand in the same places.
    """
    if got.shape != want_f64.shape:
        raise AssertionError(f"shape {tuple(got.shape)}; wanted {tuple(want_f64.shape)}")
    if want_f64.dtype != torch.float64:
        raise AssertionError(f"the reference has dtype {want_f64.dtype}; compute it in float64")
    if not got.numel():
        return
    have = got.detach().to(torch.float64)
    finite = want_f64.isfinite()
    same = torch.where(finite, have.isfinite(), (have == want_f64) | (have.isnan() & want_f64.isnan()))
    if not bool(same.all()):
        raise AssertionError(f"{int((~same).sum())} of {got.numel()} not finite alike: {_at(~same, have, want_f64)}")
    gap = torch.where(finite, (have - want_f64).abs(), 0.0)
    scale = float(torch.where(finite, want_f64, 0.0).abs().max())
    limit = c * torch.finfo(dtype).eps * math.sqrt(max(1, k)) * scale
    worst = float(gap.max())
    if worst > limit:
        raise AssertionError(
            f"off by {worst:.3e}, allowed {limit:.3e} (c={c}, {dtype}, k={k}, max|ref|={scale:.3e}),"
            f" {int((gap > limit).sum())} of {got.numel()} beyond it; worst {_at(gap == gap.max(), have, want_f64)}"
        )


def _at(chosen: torch.Tensor, have: torch.Tensor, want: torch.Tensor) -> str:
    place = tuple(int(axis) for axis in chosen.nonzero()[0])
    return f"at {list(place)}: got {float(have[place]):.6g}, wanted {float(want[place]):.6g}"
