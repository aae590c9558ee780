"""The complete sample config, a catalogue of three cards, and a loader for tests of settings and what reads them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from headrace.contracts.errors import StoreError
from headrace.contracts.models import Capability, ModelCard, Price
from headrace.gateway.settings.load import check, load
from headrace.gateway.settings.problems import Problem
from headrace.gateway.settings.tree import Settings

SAMPLE = """\
version: 1
server: {host: 127.0.0.1, port: 8080, max_body_bytes: 20000000, drain_s: 30}

backends:
  smollm2-135m: {engine: vllm, model: smollm2-135m-instruct-int8}
  coder-1.5b:   {engine: vllm, model: qwen2.5-coder-1.5b-instruct-int8}
  cloud:        {urls: ["https://llm.example.com/v1"], model: big-model, api_key: "${CLOUD_KEY}",
                 capabilities: [stream, tools, json_schema], context_tokens: 128000,
                 price: {input_usd_per_mtok: 0.60, output_usd_per_mtok: 1.80}}

tiers:
  - {id: small, default: smollm2-135m, concurrency: 16, queue: 64}
  - {id: large, default: coder-1.5b, specialists: {code: coder-1.5b}, concurrency: 8, queue: 32}

virtual_models:
  headrace/auto:
    select:
      - {id: too-long,  when: {prompt_tokens: {gt: 3000}},                       use: large}
      - {id: has-tools, when: {tools: {present: true}},                          use: large}
      - {id: code,      when: {all: [{domain: {eq: code}}, {difficulty: {gt: 0.2}}]}, use: large}
      - {id: hard,      when: {any: [{difficulty: {gt: 0.5}}, {unfamiliar: {eq: true}}]}, use: large}
      - {id: default,   use: small}
    on_low_confidence:
      probe: {tokens: 32, s: 1.5, on_uncertain: escalate}
      max_risk: 0.05
      then: [large]
    on_failure:
      - {id: same-again, errors: [timeout, http_429, http_503], retries: 1}
      - {id: next-tier,  errors: [any], then: [large, small]}
    limits: {max_attempts: 3, deadline_s: 60, max_cost_usd: 0.01}
    affinity: {key: conversation, switch_margin: 0.1}

aliases: {gpt-4o-mini: headrace/auto}

keys_file: keys.yaml
"""

KEYS = f"""\
version: 1
keys:
  - {{id: alice, tenant: research, scopes: [chat, models], hash: "hmac-sha256:{"ab" * 32}", expires: 2099-01-01}}
"""


def card(model: str, *capabilities: Capability, usd: str = "0.10") -> ModelCard:
    able = frozenset(capabilities or ("stream", "logprobs", "tools", "json_schema"))
    return ModelCard(model, 8192, able, Price(Decimal(usd), Decimal(usd) * 2))


@dataclass(frozen=True)
class Entry:
    card: ModelCard
    is_served: bool = True

    @property
    def price(self) -> Price | None:
        return self.card.price if self.is_served else None


@dataclass
class Cards:
    """A catalogue as far as settings read it."""

    cards: dict[str, ModelCard] = field(
        default_factory=lambda: {
            "smollm2-135m-instruct-int8": card("smollm2-135m-instruct-int8", usd="0.01"),
            "qwen2.5-coder-0.5b-instruct-int8": card("qwen2.5-coder-0.5b-instruct-int8", usd="0.03"),
            "qwen2.5-coder-1.5b-instruct-int8": card("qwen2.5-coder-1.5b-instruct-int8"),
            "all-minilm-l6-v2": card("all-minilm-l6-v2", "embeddings", usd="0.01"),
            "smollm2-135m-instruct": card("smollm2-135m-instruct", usd="0.01"),
        }
    )
    references: frozenset[str] = frozenset({"smollm2-135m-instruct"})

    def get(self, model_id: str, /) -> Entry:
        if model_id not in self.cards:
            msg = f"no model {model_id!r}"
            raise StoreError(msg)
        return Entry(self.cards[model_id], is_served=model_id not in self.references)

    def ids(self) -> tuple[str, ...]:
        return tuple(self.cards)


def environ(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    return {"CLOUD_KEY": "cloud-secret-key-value", "HEADRACE_HOME": str(home / "home"), **(extra or {})}


def write(folder: Path, text: str = SAMPLE, keys: str | None = KEYS) -> Path:
    path = folder / "headrace.yaml"
    path.write_text(text, encoding="utf-8")
    if keys is not None:
        (folder / "keys.yaml").write_text(keys, encoding="utf-8")
    return path


def load_text(folder: Path, text: str = SAMPLE, extra: Mapping[str, str] | None = None) -> Settings:
    return load(write(folder, text), environ=environ(folder, extra), catalogue=Cards())


def problems_of(folder: Path, text: str, extra: Mapping[str, str] | None = None) -> list[Problem]:
    outcome = check(write(folder, text), environ=environ(folder, extra), catalogue=Cards())
    return [] if isinstance(outcome, Settings) else outcome
