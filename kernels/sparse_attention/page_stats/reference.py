"""Page statistics token by token, in float64."""

import torch


def update(
    k_cache: torch.Tensor,
    slots: torch.Tensor,
    kmeta: torch.Tensor,
    method: str,
    k_scale: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the statistics after `slots` were written, float64, the entries of other pages as they were."""
    page_size = k_cache.shape[1]
    found = kmeta.double().clone()
    ends: dict[int, int] = {}
    for slot in slots.tolist():
        if slot >= 0:
            ends[slot // page_size] = max(ends.get(slot // page_size, 0), slot % page_size + 1)
    for page, end in ends.items():
        keys = k_cache[page, :end].double()
        if k_scale is not None:
            keys = keys * k_scale[page, :end, :, None].double()
        if method == "mean":
            found[page] = keys.mean(0)
        else:
            found[page] = torch.stack([keys.amin(0), keys.amax(0)])
    return found
