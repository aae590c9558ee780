"""`headrace validate`: check a config file without starting anything, and make API keys for its keys file."""

import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from headrace.contracts.errors import ConfigError
from headrace.gateway.auth import key_digest, load_secret, new_key
from headrace.gateway.settings.edge import json_schema
from headrace.gateway.settings.keys import HASH_PREFIX, MIN_KEY_CHARS
from headrace.gateway.settings.load import check, home_folder
from headrace.gateway.settings.tree import EngineBackend, Settings

app = typer.Typer(add_completion=False, help="Check a config file without starting anything.")


@app.command()
def validate(
    file: Annotated[Path | None, typer.Argument(help="the config; without it, the packaged default")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print the outcome as JSON")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="print the JSON Schema of a config and stop")] = False,
    make_key: Annotated[bool, typer.Option("--new-key", help="make an API key and its keys_file entry")] = False,
    hash_key: Annotated[bool, typer.Option("--hash-key", help="hash the key on stdin for a keys_file")] = False,
) -> None:
    """Print OK with a summary, or every problem as `file:line:column: path: what; cure` and exit with 2."""
    if schema:
        sys.stdout.write(_pretty(json_schema()))
    elif make_key or hash_key:
        _print_key(new_key() if make_key else sys.stdin.readline().strip(), is_new=make_key)
    else:
        _print_outcome(file, as_json=as_json)


def _print_key(key: str, *, is_new: bool) -> None:
    """Show a new key once, and what the keys file keeps of it."""
    if len(key) < MIN_KEY_CHARS or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"a key is {MIN_KEY_CHARS} or more printable ASCII characters without spaces; try --new-key")
    digest = key_digest(load_secret(home_folder(os.environ), os.environ), key).hex()
    if is_new:
        sys.stderr.write(f"key (shown once): {key}\n")
    sys.stdout.write(f'- {{id: my-key, tenant: default, scopes: ["*"], hash: "{HASH_PREFIX}{digest}"}}\n')


def _print_outcome(file: Path | None, *, as_json: bool) -> None:
    outcome = check(file)
    if isinstance(outcome, Settings):
        _print_ok(outcome, as_json=as_json)
        return
    if as_json:
        rows = [
            {
                "file": str(problem.place.file),
                "line": problem.place.line,
                "column": problem.place.column,
                "path": problem.path,
                "what": problem.what,
                "cure": problem.cure,
            }
            for problem in outcome
        ]
        sys.stdout.write(_pretty({"ok": False, "problems": rows}))
    else:
        sys.stdout.writelines(f"{problem}\n" for problem in outcome)
    raise SystemExit(2)


def _print_ok(settings: Settings, *, as_json: bool) -> None:
    policy = settings.policy
    if as_json:
        summary = {
            "ok": True,
            "revision": settings.revision,
            "virtual_models": list(policy.virtual_models),
            "tiers": {tier.id: list(tier.backend_ids()) for tier in policy.tiers},
        }
        sys.stdout.write(_pretty(summary))
        return
    sys.stdout.write(f"OK {settings.source.name} revision {settings.revision}\n")
    table = Table()
    for title in ("tier", "backend", "model", "served by", "places", "USD/M tokens in, out"):
        table.add_column(title, overflow="fold")
    for tier in policy.tiers:
        for name in tier.backend_ids():
            backend = settings.backends[name]
            served = "vLLM engine" if isinstance(backend, EngineBackend) else ", ".join(backend.urls)
            price = backend.card.price
            places = f"{tier.concurrency} + {tier.queue}"
            cost = f"{price.input_usd_per_mtok}, {price.output_usd_per_mtok}"
            table.add_row(tier.id, name, backend.model, served, places, cost)
    Console(file=sys.stdout).print(table)
    for name, model in policy.virtual_models.items():
        aliases = [alias for alias, target in policy.aliases.items() if target == name]
        also = f", also {', '.join(aliases)}" if aliases else ""
        sys.stdout.write(f"{name}: {len(model.select)} rules{also}\n")


def _pretty(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"
