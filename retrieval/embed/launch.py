"""How the worker process is started: its command line and environment. Starts nothing itself."""

from collections.abc import Mapping
from pathlib import Path

# Everything else of the gateway's environment (provider keys above all) stays with the gateway.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
_KEY_VARIABLE = "HEADRACE_EMBED_KEY"


def worker_argv(*, python: Path, model_dir: Path, port: int, threads: int = 1) -> tuple[str, ...]:
    """Return the worker's command line; `python` is the gateway's own interpreter."""
    module = "headrace.retrieval.embed.worker"
    return (
        *(str(python), "-m", module),
        *("--model-dir", str(model_dir), "--port", str(port), "--threads", str(threads)),
    )


def worker_env(environ: Mapping[str, str], *, key: str) -> dict[str, str]:
    """Return the worker's whole environment."""
    env = {name: environ[name] for name in _INHERITED if name in environ}
    return env | {_KEY_VARIABLE: key, "PYTHONSAFEPATH": "1", "TOKENIZERS_PARALLELISM": "false"}
