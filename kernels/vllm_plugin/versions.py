"""Which vLLM this was written for. An upgrade fails here, with words, before it fails inside a forward pass."""

import re
from typing import Final

LEAST: Final = (0, 32)
BELOW: Final = (0, 33)
_VERSION: Final = re.compile(r"(\d+)\.(\d+)")


class UnsupportedVllm(RuntimeError):
    """Another vLLM than the one whose names the plug-in was checked against."""


def check_version(version: str) -> None:
    """Raise UnsupportedVllm unless `version` is in the supported range."""
    found = _VERSION.match(version)
    if found is None or not LEAST <= (int(found[1]), int(found[2])) < BELOW:
        wanted = f"vllm>={LEAST[0]}.{LEAST[1]},<{BELOW[0]}.{BELOW[1]}"
        raise UnsupportedVllm(f"vLLM {version!r} is here and headrace's plug-in is for {wanted}; install one of those")
