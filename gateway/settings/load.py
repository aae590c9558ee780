"""Load a config file: every problem of it is told at once, or one frozen Settings comes back."""

import hashlib
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import platformdirs
from pydantic import ValidationError

from headrace.contracts.errors import ConfigError
from headrace.contracts.models import ModelCard, Price
from headrace.contracts.policy import Comparison, Condition, Policy, QualityAtCost, Use
from headrace.gateway.settings.build import Cards, build_backends, build_policy, build_retrieval, card_of
from headrace.gateway.settings.conditions import parse_condition
from headrace.gateway.settings.document import Document, parse, read_text
from headrace.gateway.settings.edge import ConfigEdge, json_schema
from headrace.gateway.settings.explain import explain, place_of
from headrace.gateway.settings.keys import PLAIN_KEYS, build_keys, plain_keys
from headrace.gateway.settings.problems import Keys as KeyPath
from headrace.gateway.settings.problems import Problem, nearest, render_path, sort_problems
from headrace.gateway.settings.strategies import parse_use
from headrace.gateway.settings.tree import (
    EngineBackend,
    KeyEntry,
    Keys,
    LedgerSettings,
    Server,
    Settings,
    TelemetrySettings,
    UrlBackend,
)
from headrace.models.catalog.catalogue import Catalogue
from headrace.router.policies.validate import problems as policy_problems

PORT_VARIABLE: Final = "HEADRACE_PORT"
HOME_VARIABLE: Final = "HEADRACE_HOME"
_CONFIGS: Final = Path(__file__).parent / "configs"
_POLICY_SECTIONS: Final = frozenset({"version", "backends", "tiers", "virtual_models", "aliases"})
_STAND_IN_CARD: Final = ModelCard("", 1, frozenset(), Price(Decimal(0), Decimal(0)))


def packaged(name: str = "default") -> Path:
    """Return the path of a config that ships with headrace: default, three-tier, strategies or urls-example."""
    names = sorted(path.stem for path in _CONFIGS.glob("*.yaml"))
    if name not in names:
        raise ConfigError(f"no packaged config {name!r}; {nearest(name, names)}")
    return _CONFIGS / f"{name}.yaml"


def home_folder(environ: Mapping[str, str]) -> Path:
    """Return where headrace keeps its files: $HEADRACE_HOME, else the user's cache directory."""
    named = environ.get(HOME_VARIABLE)
    return Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("headrace", appauthor=False))


def load(
    path: Path | None = None, *, environ: Mapping[str, str] = os.environ, catalogue: Cards | None = None
) -> Settings:
    """Return the settings of one file (None: the packaged default).

    Raises ConfigError whose message lists every problem, one a line, as `file:line:column: path: what; cure`.
    """
    outcome = check(path, environ=environ, catalogue=catalogue)
    if isinstance(outcome, Settings):
        return outcome
    raise ConfigError("\n".join(str(problem) for problem in outcome))


def check(
    path: Path | None = None, *, environ: Mapping[str, str] = os.environ, catalogue: Cards | None = None
) -> Settings | list[Problem]:
    """Return the settings, or every problem in the order of the file. Never raises for what a file holds."""
    file = packaged() if path is None else path
    text = read_text(file)
    if isinstance(text, Problem):
        return [text]
    document = parse(text, file, environ)
    loader = _Loader(document, environ, Catalogue.packaged() if catalogue is None else catalogue)
    settings = loader.run(text)
    return sort_problems(loader.problems) if settings is None else settings


@dataclass(slots=True)
class _Loader:
    """One load in progress: gathers problems and never stops at the first."""

    document: Document
    environ: Mapping[str, str]
    catalogue: Cards
    problems: list[Problem] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.document.marks.file

    def run(self, text: str) -> Settings | None:
        self.problems.extend(self.document.problems)
        if not isinstance(self.document.value, dict):
            return None
        conditions, uses = self._rules(self.document.value)
        edge, is_policy_whole = self._edge(self.document.value)
        if edge is None:
            return None
        keys_text, keys = self._keys(edge)
        revision = hashlib.sha256(b"\0".join((text.encode(), keys_text.encode()))).hexdigest()[:12]
        server = self._server(edge, keys)
        backends = build_backends(edge.backends, self.catalogue, self.report)
        policy = self._policy(edge, conditions, uses, backends, revision) if is_policy_whole else None
        self._embeddings(edge)
        home = home_folder(self.environ)
        retrieval = build_retrieval(edge.retrieval, beside=self.file.parent, home=home, report=self.report)
        if self.problems or policy is None:
            return None
        return Settings(
            source=self.file,
            revision=revision,
            home=home,
            server=server,
            backends=backends,
            policy=policy,
            embeddings=None if edge.embeddings is None else edge.embeddings.model,
            keys=keys,
            ledger=self._ledger(edge, home),
            telemetry=TelemetrySettings(edge.telemetry.otlp_endpoint, edge.telemetry.request_log),
            retrieval=retrieval,
            watched=(self.file, *self._keys_path(edge)),
        )

    def report(self, path: KeyPath, what: str, cure: str, *, at_key: bool = False) -> None:
        """Add a problem of the config file, unless its place already has one."""
        marks = self.document.marks
        rendered = render_path(path)
        if any(problem.path == rendered and problem.place.file == self.file for problem in self.problems):
            return
        self.problems.append(Problem(marks.of_key(path) if at_key else marks.of_value(path), rendered, what, cure))

    def _edge(self, value: dict[str, Any]) -> tuple[ConfigEdge | None, bool]:
        """Return the checked shape; sections outside the policy that are wrong are left at their defaults."""
        try:
            return ConfigEdge.model_validate(value), True
        except ValidationError as exc:
            errors = exc.errors(include_url=False)
        schema = json_schema()
        for error in errors:
            path, is_key = place_of(error)
            what, cure = explain(error, schema, is_secret=path in self.document.from_env)
            self.report(path, what, cure, at_key=is_key)
        broken = {str(error["loc"][0]) for error in errors if error["loc"]}
        if broken & _POLICY_SECTIONS:
            return None, False
        return ConfigEdge.model_validate({key: part for key, part in value.items() if key not in broken}), True

    def _rules(self, value: dict[str, Any]) -> tuple[dict[KeyPath, Condition], dict[KeyPath, Use]]:
        """Parse every `when` and `use` that can be found, whatever else is wrong; a broken one gets a stand-in."""
        conditions: dict[KeyPath, Condition] = {}
        uses: dict[KeyPath, Use] = {}
        models = value.get("virtual_models")
        for name, model in models.items() if isinstance(models, dict) else ():
            rules = model.get("select") if isinstance(model, dict) else None
            for index, rule in enumerate(rules if isinstance(rules, list) else ()):
                path: KeyPath = ("virtual_models", name, "select", index)
                if isinstance(rule, dict) and rule.get("when") is not None:
                    parsed = parse_condition(rule["when"], (*path, "when"), self.report)
                    conditions[*path, "when"] = parsed or Comparison("tenant", "eq", f"\0{index}")
                if isinstance(rule, dict) and "use" in rule:
                    use = parse_use(rule["use"], (*path, "use"), self.report, from_env=self.document.from_env)
                    uses[*path, "use"] = use or QualityAtCost(0.0)
        return conditions, uses

    def _policy(
        self,
        edge: ConfigEdge,
        conditions: Mapping[KeyPath, Condition],
        uses: Mapping[KeyPath, Use],
        backends: Mapping[str, EngineBackend | UrlBackend],
        revision: str,
    ) -> Policy:
        cards = {name: backends[name].card if name in backends else _STAND_IN_CARD for name in edge.backends}
        policy = build_policy(edge, conditions, uses, cards, revision)
        for problem in policy_problems(policy):
            near = f"did you mean {problem.nearest!r}? " if problem.nearest else ""
            self.report(problem.path, problem.message, f"{near}{problem.cure}")
        return policy

    def _server(self, edge: ConfigEdge, keys: Keys) -> Server:
        server, path = edge.server, ("server", "host")
        if not is_loopback(server.host) and not keys.are_on:
            what = f"{server.host!r} can be reached from outside and no key is asked for"
            self.report(path, what, f"name a keys_file, set {PLAIN_KEYS}, or listen on 127.0.0.1")
        return Server(
            host=server.host,
            port=self._port(server.port),
            max_body_bytes=server.max_body_bytes,
            max_json_depth=server.max_json_depth,
            drain_s=server.drain_s,
            trusted_hosts=tuple(server.trusted_hosts),
        )

    def _port(self, port: int) -> int:
        text = self.environ.get(PORT_VARIABLE)
        if not text:
            return port
        if text.isascii() and text.isdigit() and len(text) < len("100000") and int(text) <= 65535:  # noqa: PLR2004  (the last port)
            return int(text)
        self.report(("server", "port"), f"{PORT_VARIABLE} is not a port", f"export {PORT_VARIABLE}=8080, or unset it")
        return port

    def _embeddings(self, edge: ConfigEdge) -> None:
        if edge.embeddings is None:
            self._retrieval(edge)
            return
        model, path = edge.embeddings.model, ("embeddings", "model")
        card = card_of(self.catalogue, model)
        able = [name for name in self.catalogue.ids() if _embeds(card_of(self.catalogue, name))]
        if card is None:
            self.report(path, f"no catalogue model {model!r} is served", nearest(model, able))
        elif not _embeds(card):
            self.report(path, f"{model!r} does not embed", nearest(model, able))

    def _retrieval(self, edge: ConfigEdge) -> None:
        for name, model in edge.virtual_models.items():
            if model.retrieve is not None:
                what = "documents cannot be searched without a model that embeds"
                cure = "add `embeddings: {model: all-minilm-l6-v2}`"
                self.report(("virtual_models", name, "retrieve"), what, cure, at_key=True)

    def _keys_path(self, edge: ConfigEdge) -> tuple[Path, ...]:
        return () if edge.keys_file is None else (self.file.parent / Path(edge.keys_file).expanduser(),)

    def _keys(self, edge: ConfigEdge) -> tuple[str, Keys]:
        plain, wrong = plain_keys(self.environ)
        if wrong is not None:
            self.report((), wrong, "make one with `headrace validate --new-key`")
        for file in self._keys_path(edge):
            text, issued = self._keys_file(file)
            return text, Keys(issued, plain)
        return "", Keys((), plain)

    def _keys_file(self, file: Path) -> tuple[str, tuple[KeyEntry, ...]]:
        text = read_text(file)
        if isinstance(text, Problem):
            self.report(("keys_file",), f"{file.name!r} {text.what}", text.cure)
            return "", ()
        document = parse(text, file, {})
        self.problems.extend(document.problems)

        def report(path: KeyPath, what: str, cure: str, *, at_key: bool = False) -> None:
            place = document.marks.of_key(path) if at_key else document.marks.of_value(path)
            self.problems.append(Problem(place, render_path(path), what, cure))

        return text, build_keys(document, report) if isinstance(document.value, dict) else ()

    def _ledger(self, edge: ConfigEdge, home: Path) -> LedgerSettings:
        ledger = edge.ledger
        folder = home / "ledger" if ledger.folder is None else self.file.parent / Path(ledger.folder).expanduser()
        return LedgerSettings(
            folder=folder,
            rotate_bytes=ledger.rotate_bytes,
            keep_files=ledger.keep_files,
            flush_s=ledger.flush_s,
            fsync=ledger.fsync,
            queue_records=ledger.queue_records,
            headers=frozenset(name.lower() for name in ledger.headers),
            metadata=frozenset(ledger.metadata),
        )


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a server that listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _embeds(card: ModelCard | None) -> bool:
    return card is not None and "embeddings" in card.capabilities
