"""Requests with pages chosen by hand, and what each must come out as."""

from dataclasses import dataclass, replace
from typing import Any

import torch

from headrace.kernels.sparse_attention.decode import reference, sparse_decode
from headrace.kernels.sparse_attention.kv_quant import write_int8_kv
from tests.support.kernels.canaries import allocations_guarded, guard
from tests.support.kernels.tolerance import close

Attended = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Case:
    """The arguments of one call."""

    q: torch.Tensor
    k_cache: torch.Tensor
    v_cache: torch.Tensor
    pages: torch.Tensor
    n_valid: torch.Tensor
    options: dict[str, Any]

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """Return them in the order of the call."""
        return (self.q, self.k_cache, self.v_cache, self.pages, self.n_valid)

    def but(self, **changes: Any) -> "Case":
        """Return the case with other tensors or options."""
        names = {"q", "k_cache", "v_cache", "pages", "n_valid"} & set(changes)
        tensors = {name: changes[name] for name in names}
        options = {name: value for name, value in changes.items() if name not in names}
        return replace(self, **tensors, options=self.options | options)

    def run(self) -> Attended:
        """Return what the op says."""
        return sparse_decode(*self.tensors, **self.options)

    def run_guarded(self) -> Attended:
        """Return what the op says of buffers between canaries, outputs and parts among them."""
        inside = [guard(tensor) for tensor in self.tensors]
        scales = {name: guard(value) for name, value in self.options.items() if isinstance(value, torch.Tensor)}
        with allocations_guarded():
            options = self.options | {name: one.tensor for name, one in scales.items()}
            found = sparse_decode(*(one.tensor for one in inside), **options)
        for one in (*inside, *scales.values()):
            one.check()
        return found

    def wanted(self) -> Attended:
        """Return what the reference says in float64, of the restored cache where it is int8."""
        caches = [self.k_cache.double(), self.v_cache.double()]
        for place, name in enumerate(("k_scale", "v_scale")):
            if name in self.options:
                caches[place] *= self.options[name].double()[..., None]
        options = {name: self.options[name] for name in ("scale", "softcap") if name in self.options}
        return reference.sparse_decode(self.q.double(), *caches, self.pages, self.n_valid, **options)

    def agrees(self, found: Attended) -> None:
        """Raise AssertionError unless `found` is what the reference says, as near as the type allows."""
        for got, want in zip(found, self.wanted(), strict=True):
            close(got, want, self.q.dtype, self.q.shape[2])


def requests(
    *valid: tuple[int, ...],
    group: int = 4,
    head_dim: int = 64,
    page: int = 16,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    **options: Any,
) -> Case:
    """Return a case of as many requests as `valid` has rows, each with the valid tokens of its KV heads.

    Pages are scattered, and numbers after a list's last page are -1; rows of pages that no list has are NaN.
    """
    chance = torch.Generator().manual_seed(seed)
    kv_heads = len(valid[0]) if valid else 1
    cap = max((-(-tokens // page) for row in valid for tokens in row), default=0) + 1
    num_pages = cap * max(1, len(valid)) + 2
    shape = (num_pages, page, kv_heads, head_dim)
    caches = [torch.full(shape, float("nan"), dtype=dtype) for _ in range(2)]
    pages = torch.full((len(valid), kv_heads, cap), -1, dtype=torch.int32)
    for kv_head in range(kv_heads):
        free = torch.randperm(num_pages, generator=chance)
        for request, row in enumerate(valid):
            for place in range(-(-row[kv_head] // page)):
                physical = int(free[request * cap + place])
                pages[request, kv_head, place] = physical
                filled = min(page, row[kv_head] - place * page)
                for cache in caches:
                    made = torch.randn(filled, head_dim, generator=chance, dtype=torch.float64)
                    cache[physical, :filled, kv_head] = made.to(dtype)
    q = torch.randn(len(valid), kv_heads * group, head_dim, generator=chance, dtype=torch.float64).to(dtype)
    n_valid = torch.tensor(valid, dtype=torch.int32).reshape(len(valid), kv_heads)
    return Case(q, *caches, pages, n_valid, options)


def quantized(case: Case) -> Case:
    """Return the case with its cache in int8."""
    num_pages, page, kv_heads, head_dim = case.k_cache.shape
    caches = [torch.zeros(case.k_cache.shape, dtype=torch.int8) for _ in range(2)]
    scales = [torch.full((num_pages, page, kv_heads), float("nan")) for _ in range(2)]
    rows = [cache.reshape(-1, kv_heads, head_dim) for cache in (case.k_cache, case.v_cache)]
    write_int8_kv(*rows, *caches, *scales, torch.arange(num_pages * page))
    return case.but(k_cache=caches[0], v_cache=caches[1], k_scale=scales[0], v_scale=scales[1])
