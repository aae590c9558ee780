"""`headrace explain`: how a question would be routed and why. No model is called, nothing is started."""

import json
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from headrace.contracts.chat import ChatCall, Message
from headrace.contracts.errors import InvalidRequest
from headrace.contracts.principal import ANONYMOUS
from headrace.contracts.routing import Plan
from headrace.gateway.routes.explain import as_object
from headrace.gateway.settings.load import load
from headrace.gateway.wiring.system import load_artefacts
from headrace.router.features import extract
from headrace.router.policies.planner import make_plan
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
    """Show features, difficulty, the matched rule, what would be tried, what is left out, and the expected cost."""
    text = sys.stdin.read() if question == "-" else question
    if not text.strip():
        raise InvalidRequest("the question is empty; pass it as the argument, or '-' to read stdin")
    plan = plan_for(text, config=config, model=model)
    if as_json:
        sys.stdout.write(json.dumps(as_object(plan), indent=2) + "\n")
    else:
        show(plan, Console())


def plan_for(text: str, *, config: Path | None, model: str) -> Plan:
    """Plan exactly as a running gateway would, with every backend taken for live."""
    policy, artefacts = load(config).policy, load_artefacts()
    call = ChatCall(model=model, endpoint="chat", messages=(Message("user", text),), wire={})
    quality = quality_for(policy, artefacts.load_quality)
    features = extract(call, artefacts.difficulty, principal=ANONYMOUS, headers={}, quality=quality)
    return make_plan(
        policy,
        call,
        features,
        is_live=lambda _: True,
        is_calibrated=lambda card, domain: artefacts.judge.is_calibrated(model=card, domain=domain),
    )


def show(plan: Plan, console: Console) -> None:
    """Print a plan as tables."""
    seen = Table(title="what the rules see", show_header=False)
    features = plan.features
    rows = {
        "difficulty": f"{features.difficulty:.3f}",
        "domain": features.domain + (" (unfamiliar)" if features.unfamiliar else ""),
        "prompt tokens": str(features.prompt_tokens),
        "language": features.language,
        "turns": str(features.turns),
        "rule": plan.rule,
        "because": plan.reason,
        "expected cost": f"${plan.expected_cost_microusd / 1_000_000:.6f}",
    }
    if plan.scores:
        rows["scores"] = ", ".join(f"{tier} {score:.4g}" for tier, score in plan.scores.items())
        rows["propensity"] = f"{plan.propensity:.4g}"
    if plan.pace is not None:
        rows["budget"] = "taken for full: what is spent is only known to a running gateway"
    for name, value in rows.items():
        seen.add_row(name, value)
    console.print(seen)
    tried = Table("#", "tier", "model", "answer is judged", title="what is tried, in order")
    for place, target in enumerate(plan.targets, 1):
        tried.add_row(
            str(place), target.tier, target.card.id, "yes" if target.judged else f"no: {target.why_not_judged}"
        )
    for member in plan.panel.members if plan.panel is not None else ():
        tried.add_row("=", member.tier, member.card.id, "expert, side by side")
    for tier, why in plan.skipped.items():
        tried.add_row("-", tier, "left out", why)
    console.print(tried)
