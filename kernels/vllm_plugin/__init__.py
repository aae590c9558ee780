"""The plug-in that vLLM loads in every process: puts in the hooks that are switched on, and nothing else.

`register` imports neither vLLM nor CUDA before something is switched on. A hook that cannot be put in is written to the
log and to the state file (state.py), and vLLM's own code serves instead. `HEADRACE_KERNELS=off` puts in none.
"""

import logging
import os
from collections.abc import Callable
from typing import Final

from headrace.kernels import dispatch
from headrace.kernels.vllm_plugin import options, state

ATTENTION: Final = "attention"
MOE: Final = "moe"
QUANTIZATION: Final = "quantization"
# Below vLLM's logger, whose handlers then write to the engine's log.
LOGGER: Final = "vllm.plugins.headrace"
# What importing and registering can raise when vLLM is another one than expected.
BROKEN: Final = (
    ImportError, AttributeError, TypeError, ValueError, KeyError, AssertionError, RuntimeError, OSError,
)  # fmt: skip

Install = Callable[[], str]


def register() -> None:
    """Put in what is switched on; a second call changes nothing. Never raises for a hook that does not fit."""
    log = logging.getLogger(LOGGER)
    try:
        wanted = options.read_options(os.environ)
        is_off = dispatch.mode() == "off"
    except ValueError as exc:
        state.fail("options", str(exc))
        log.error("headrace: %s; vLLM's own code serves", exc)  # noqa: TRY400  (a setting, not a traceback)
        wanted, is_off = _all_on(), True
    if wanted.is_empty:
        return
    state.write_at_end()
    try:
        from headrace.kernels.vllm_plugin import hooks  # noqa: PLC0415  (imports vLLM)
    except BROKEN as exc:
        _tell("hooks", exc, log)
        return
    for name, install, stand_in in hooks.of(wanted):
        if state.is_installed(name):
            continue
        if is_off:
            _try(f"{name} stand-in", stand_in, log)
            continue
        if not _try(name, install, log):
            _try(f"{name} stand-in", stand_in, log)


def _try(name: str, install: Install, log: logging.Logger) -> bool:
    try:
        what = install()
    except BROKEN as exc:
        _tell(name, exc, log)
        return False
    state.install(name, what)
    log.info("headrace: the %s hook is in: %s", name, what)
    return True


def _tell(name: str, error: Exception, log: logging.Logger) -> None:
    state.fail(name, f"{type(error).__name__}: {error}")
    log.error("headrace: the %s hook could not be put in; vLLM's own code serves", name, exc_info=error)


def _all_on() -> options.Options:
    """What a command line may name although the options cannot be read: enough to stand in for each."""
    return options.Options(options.SparseOptions(), options.MoeOptions())
