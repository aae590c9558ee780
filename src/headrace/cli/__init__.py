"""The `headrace` command: one module a sub-command, imported only when it is called, so that start-up stays quick."""

import importlib
import sys
from typing import Final

COMMANDS: Final[dict[str, str]] = {
    "up": "build what is missing, fetch the models, start engines and gateway (what `make serve` runs)",
    "serve": "run the gateway in the foreground against the backends of one config file",
    "validate": "check a config file without starting anything",
    "explain": "show how a question would be routed, without calling a model",
    "replay": "decide the ledger's requests again with another policy, and estimate its worth",
    "models": "list, fetch, import, verify and remove models",
    "index": "fill collections of documents, list, show, rebuild and remove them",
    "search": "search a collection, with the score of each stage",
    "rag": "measure how well documents are found, on any collection in BEIR's form",
    "kernels": "say which kernels would serve a model here, and why not",
    "router": "train, evaluate and calibrate the router",
}


def main() -> None:
    """Dispatch to a sub-command; a user's mistake is one line on stderr and exit code 2, never a traceback."""
    from headrace.contracts.errors import HeadraceError  # noqa: PLC0415  (kept off the import path of --help)

    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in {"-h", "--help", "help"}:
        sys.stdout.write(_usage())
        return
    if name in {"-V", "--version"}:
        from headrace import __version__  # noqa: PLC0415

        sys.stdout.write(f"headrace {__version__}\n")
        return
    if name not in COMMANDS:
        sys.stderr.write(f"headrace: no command {name!r}; one of: {', '.join(COMMANDS)}\n")
        raise SystemExit(2)
    module = importlib.import_module(f"headrace.cli.{name}")
    try:
        module.app(args=sys.argv[2:], prog_name=f"headrace {name}")
    except HeadraceError as exc:
        sys.stderr.write(f"headrace {name}: {exc.message}\n")
        raise SystemExit(2) from exc


def _usage() -> str:
    lines = [f"  {name:<10}{text}\n" for name, text in COMMANDS.items()]
    return "usage: headrace COMMAND [options]\n\n" + "".join(lines) + "\n`headrace COMMAND --help` tells the options.\n"
