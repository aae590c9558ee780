"""`headrace explain`: how a question would be routed and why. No model is called, nothing is started."""

import json
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from headrace.cli.explain_tables import show
from headrace.contracts.chat import ChatCall, Message
from headrace.contracts.errors import InvalidRequest
from headrace.contracts.principal import ANONYMOUS
from headrace.contracts.routing import Plan
from headrace.gateway.routes.explain import as_object
from headrace.gateway.settings.load import load
from headrace.gateway.wiring.system import load_artefacts
from headrace.router.explaining import nearest
from headrace.router.explaining.explanation import Explanation, explained
from headrace.router.features import extract
from headrace.router.policies.planner import decide
from headrace.router.policies.survey import Ask
from headrace.router.quality.backends import quality_for

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

DEFAULT_MODEL: Final = "headrace/auto"


@app.command()
def explain(
    question: Annotated[str, typer.Argument(help="What a client would ask; '-' reads it from stdin.")],
    config: Annotated[Path | None, typer.Option(help="The config file; the packaged default if left out.")] = None,
    model: Annotated[str, typer.Option(help="The name a client would send.")] = DEFAULT_MODEL,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Show how a question would be routed, by which rule, what speaks for it, and what would have changed it."""
    text = sys.stdin.read() if question == "-" else question
    if not text.strip():
        raise InvalidRequest("the question is empty; pass it as the argument, or '-' to read stdin")
    plan, told = explanation_for(text, config=config, model=model)
    if as_json:
        sys.stdout.write(json.dumps(as_object(plan, told), indent=2) + "\n")
    else:
        show(plan, told, Console())


def explanation_for(text: str, *, config: Path | None, model: str) -> tuple[Plan, Explanation]:
    """Plan exactly as a running gateway would, with every backend taken for live, and take the decision apart."""
    policy, artefacts = load(config).policy, load_artefacts()
    call = ChatCall(model=model, endpoint="chat", messages=(Message("user", text),), wire={})
    quality = quality_for(policy, artefacts.load_quality)
    ask = Ask(
        policy,
        call,
        extract(call, artefacts.difficulty, principal=ANONYMOUS, headers={}, quality=quality),
        is_live=lambda _: True,
        is_calibrated=lambda card, domain: artefacts.judge.is_calibrated(model=card, domain=domain),
    )
    plan = decide(ask)
    known = None if quality is None else quality.model
    return plan, explained(ask, plan, weights=artefacts.weights, quality=known, index=nearest.load())
