"""Page statistics with torch's own operators."""

from typing import Final

import torch

_GATHERED: Final = 1 << 24  # elements of keys gathered at a time


def update(
    k_cache: torch.Tensor, slots: torch.Tensor, kmeta: torch.Tensor, k_scale: torch.Tensor | None, *, is_minmax: bool
) -> None:
    """Sum up anew the pages that `slots` lie in, up to the last slot of each."""
    page_size = k_cache.shape[1]
    # A GPU must not be asked how many pages there are: there each token names its page's last slot.
    last = last_slots(slots, page_size) if slots.device.type == "cpu" else last_slots_of_all(slots, page_size)
    for part in torch.split(last, max(1, _GATHERED // max(1, k_cache[:1].numel()))):
        _update(k_cache, part, kmeta, k_scale, is_minmax=is_minmax)


def last_slots(slots: torch.Tensor, page_size: int) -> torch.Tensor:
    """Return the last slot of each page that `slots` lie in."""
    return slots[_is_last(slots, page_size)].long()


def last_slots_of_all(slots: torch.Tensor, page_size: int) -> torch.Tensor:
    """Return for each slot the last one in its page, so that equal pages are written equally; its size is static.

    Padding stands for the first page written, or is -1 where none is.
    """
    slots = slots.long()
    places = torch.arange(slots.numel(), device=slots.device)
    ends = torch.where(_is_last(slots, page_size), places, slots.numel()).flip(0).cummin(0).values.flip(0)
    ends = torch.where(slots >= 0, ends, ends[:1])
    return torch.nn.functional.pad(slots, (0, 1), value=-1)[ends]


def _is_last(slots: torch.Tensor, page_size: int) -> torch.Tensor:
    pages = torch.where(slots >= 0, slots.div(page_size, rounding_mode="floor"), -1)
    after = torch.nn.functional.pad(pages[1:], (0, 1), value=-1)
    return (pages >= 0) & (pages != after)


def _update(
    k_cache: torch.Tensor, last: torch.Tensor, kmeta: torch.Tensor, k_scale: torch.Tensor | None, *, is_minmax: bool
) -> None:
    page_size = k_cache.shape[1]
    pages = last.clamp(min=0).div(page_size, rounding_mode="floor")
    keys = k_cache[pages].float()
    if k_scale is not None:
        keys = keys * k_scale[pages][..., None]
    has = (torch.arange(page_size, device=last.device) <= (last % page_size)[:, None])[..., None, None]
    if is_minmax:
        found = torch.stack(
            [torch.where(has, keys, torch.inf).amin(1), torch.where(has, keys, -torch.inf).amax(1)], dim=1
        )
        spoilt = found.isnan().any(1, keepdim=True)
        found = torch.where(spoilt, torch.nan, found)
    else:
        found = torch.where(has, keys, 0.0).sum(1) / (last % page_size + 1)[:, None, None]
    is_page = (last >= 0).view(-1, *[1] * (kmeta.dim() - 1))
    kmeta[pages] = torch.where(is_page, found.to(kmeta.dtype), kmeta[pages])
