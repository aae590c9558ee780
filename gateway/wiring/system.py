"""The gateway without its socket and its engines, built once from settings."""

import asyncio
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from headrace.contracts.errors import HeadraceError
from headrace.contracts.policy import Policy
from headrace.contracts.protocols import AnswerJudge, Backend, DifficultyModel
from headrace.contracts.retrieval import Retriever
from headrace.gateway import probing
from headrace.gateway.affinity import Conversations
from headrace.gateway.app import Gateway
from headrace.gateway.auth import Authenticator
from headrace.gateway.ids import Ids
from headrace.gateway.ledger.ledger import Ledger
from headrace.gateway.limits.admission import TierAdmission
from headrace.gateway.limits.budget import Unlimited
from headrace.gateway.pacing import Banks
from headrace.gateway.pipeline import Pipeline
from headrace.gateway.rates import Rates, are_wanted
from headrace.gateway.readiness import Readiness
from headrace.gateway.recorder import Recorder
from headrace.gateway.responses import refusal
from headrace.gateway.revisions import Revision, Revisions
from headrace.gateway.routes.answers import AnswerRoutes
from headrace.gateway.routes.embeddings import EmbeddingRoute
from headrace.gateway.routes.explain import ExplainRoute
from headrace.gateway.routes.feedback import FeedbackRoute
from headrace.gateway.routes.rare import RareRoutes
from headrace.gateway.settings.tree import EngineBackend, Settings, UrlBackend
from headrace.gateway.shadow import Shadows
from headrace.gateway.telemetry.logging import Log
from headrace.gateway.telemetry.metrics import Metrics
from headrace.gateway.telemetry.tracing import open_tracer
from headrace.gateway.tools.kinds import standard_kinds
from headrace.gateway.wiring.grounding import build_grounder
from headrace.gateway.wiring.kernels import KernelWatch
from headrace.gateway.wiring.library import FILES, VECTOR_STORES, LibraryService
from headrace.gateway.wiring.processes import Processes
from headrace.gateway.wiring.reranking import build_reranker
from headrace.models.backends.client import HttpBackend
from headrace.models.backends.encode import EndpointSpec
from headrace.models.backends.wire import Pool
from headrace.router.cascade import acceptance
from headrace.router.cascade.runner import Cascade
from headrace.router.difficulty import model as difficulty
from headrace.router.difficulty.artefact import read_artefact
from headrace.router.explaining.difficulty import DifficultyWeights
from headrace.router.quality import model as quality
from headrace.router.quality.backends import BackendQuality, quality_for
from headrace.router.quality.model import QualityModel

ENDPOINT_OF: Final = {"/v1/chat/completions": "chat", "/v1/completions": "completions", "/v1/embeddings": "embeddings"}
OBJECTS: Final = (FILES, VECTOR_STORES)


@dataclass(frozen=True, slots=True)
class Artefacts:
    """What the router has learned, loaded once.

    hashes: name the files in every record. calibrated: models whose answers can be judged. load_quality: reads the
    model of predicted quality, which is only done for a policy that weighs quality. weights: of the difficulty model,
    for explaining; None where it has none to show.
    """

    difficulty: DifficultyModel
    judge: AnswerJudge
    hashes: Mapping[str, str] = field(default_factory=dict)
    calibrated: frozenset[str] = frozenset()
    load_quality: Callable[[], QualityModel] = quality.load
    weights: DifficultyWeights | None = None


def load_artefacts() -> Artefacts:
    """Read the packaged difficulty model and calibration; without one no answer is judged, which the start tells."""
    card, arrays = read_artefact(difficulty.PACKAGED)
    question = difficulty.LinearDifficulty(card, arrays)
    judge = acceptance.load() if acceptance.PACKAGED.exists() else acceptance.CalibratedJudge({})
    hashes = {"difficulty": question.sha256, "calibration": judge.sha256}
    return Artefacts(question, judge, hashes, frozenset(judge.models), weights=DifficultyWeights(card, arrays))


class System:
    """One gateway process without its socket. Made inside the running loop; `start` before use, `stop` at the end.

    session: for health checks; owned by whoever made it. Upstream calls have a pool of their own. retriever: searches
    the documents that answers rest on; None where there are none.
    """

    def __init__(
        self,
        settings: Settings,
        artefacts: Artefacts,
        session: aiohttp.ClientSession,
        processes: Processes | None = None,
        *,
        environ: Mapping[str, str] = os.environ,
        retriever: Retriever | None = None,
    ) -> None:
        self._artefacts = artefacts
        self._hashes = dict(artefacts.hashes)
        self._processes = processes or Processes()
        self._kernels = KernelWatch(self._processes)
        self._environ = environ
        self._clock = asyncio.get_running_loop().time
        self._session = session
        self._pool = Pool()
        self._admission = TierAdmission(settings.policy.tiers, self._clock)
        self.metrics = Metrics()
        embedder, folder = self._processes.embedder, self._processes.embedder_folder
        reranker = build_reranker(settings)
        self._library = LibraryService(settings.retrieval, embedder, folder, self.metrics, reranker=reranker)
        self._retriever = retriever or self._library.retriever
        self.log = Log.to_stderr(requests=settings.telemetry.request_log, on_loss=self._lost_lines)
        self._ledger = Ledger(settings.ledger, on_drop=self.metrics.ledger_dropped)
        self._shadows = Shadows(
            keep=self._ledger.keep_shadow, metrics=self.metrics, has_room=self._admission.has_room, wall=time.time
        )
        self._tracer = open_tracer(settings.telemetry.otlp_endpoint)
        self._banks = Banks(settings.policy, self._clock)
        self._rates = Rates(self._admission.wait_s)
        self.readiness = Readiness()
        self.revisions = Revisions(self._revise(settings, {}))
        self.pipeline = self._pipeline()
        self.gateway = self._gateway()
        self._watch(settings)

    def start(self) -> None:
        """Start the writers."""
        self.log.start()
        self._ledger.start()
        self._library.start()

    async def stop(self) -> None:
        """Close everything; what is queued is written first."""
        await self._shadows.stop()
        await self._library.stop()
        self._pool.close()
        await asyncio.to_thread(self._ledger.close)
        if self._tracer is not None:
            await asyncio.to_thread(self._tracer.close)
        await asyncio.to_thread(self.log.close)

    async def await_backends(self) -> None:
        """Return when every backend has answered once; until then /readyz says which has not."""
        revision = self.revisions.current
        backends = {
            name: spec if isinstance(spec, UrlBackend) else None for name, spec in revision.settings.backends.items()
        }
        await probing.watch(self._session, backends, is_up=self._is_up, readiness=self.readiness)
        await asyncio.to_thread(self._kernels.tell, self.log)

    async def probe(self, settings: Settings) -> None:
        """Try what new settings name; raises when an endpoint set that was not there before does not answer."""
        known = self.revisions.current.settings.backends
        await probing.require(self._session, [spec for spec in settings.urls if known.get(spec.id) != spec])

    def swap(self, settings: Settings) -> None:
        """Put new settings in force."""
        current = self.revisions.current
        kept = {
            name: backend
            for name, backend in current.backends.items()
            if current.settings.backends[name] == settings.backends.get(name)
        }
        self.revisions.swap(self._revise(settings, kept))
        self._admission.reshape(settings.policy.tiers)
        self._banks.reshape(settings.policy)
        self._rates.reshape(settings.policy)
        for name in settings.backends:
            self.readiness.answered(name)
        self.metrics.config_loaded(settings.revision)

    def _revise(self, settings: Settings, kept: Mapping[str, Backend]) -> Revision:
        backends = {name: kept.get(name) or self._backend(spec) for name, spec in settings.backends.items()}
        return Revision(
            settings=settings,
            auth=Authenticator.open(settings, self._environ),
            backends=backends,
            cascade=Cascade(backends, self._artefacts.judge, self._admission, self._clock),
            embedder=self._processes.embedder,
            wants_rates=are_wanted(settings.policy),
            quality=self._quality(settings.policy),
        )

    def _quality(self, policy: Policy) -> BackendQuality | None:
        """Return what predicts for the policy's backends; the log names those that are judged by their size."""
        found = quality_for(policy, self._artefacts.load_quality)
        if found is not None:
            self._hashes["quality"] = found.model.sha256
        for backend, basis in found.strangers.items() if found is not None else ():
            self.log.event("quality_from_size", backend=backend, basis=basis)
        return found

    def _backend(self, spec: EngineBackend | UrlBackend) -> Backend:
        if isinstance(spec, UrlBackend):
            endpoints = [EndpointSpec(url, spec.api_key or "") for url in spec.urls]
            return HttpBackend(
                id=spec.id, card=spec.card, endpoints=endpoints, pool=self._pool, upstream_model=spec.model
            )
        engine = self._processes.engines[spec.id]
        return HttpBackend(
            id=spec.id,
            card=spec.card,
            endpoints=[engine.endpoint],
            pool=self._pool,
            upstream_model=spec.model,
            is_up=engine.is_up,
        )

    def _pipeline(self) -> Pipeline:
        recorder = Recorder(
            ledger=self._ledger,
            metrics=self.metrics,
            log=self.log,
            tracer=self._tracer,
            artefacts=self._hashes,
            clock=self._clock,
        )
        grounder = build_grounder(
            self._retriever,
            difficulty=self._artefacts.difficulty,
            home=self.revisions.current.settings.home,
            metrics=self.metrics,
            clock=self._clock,
        )
        return Pipeline(
            revisions=self.revisions,
            difficulty=self._artefacts.difficulty,
            judge=self._artefacts.judge,
            grounder=grounder,
            budget=Unlimited(),
            recorder=recorder,
            conversations=Conversations(),
            banks=self._banks,
            rates=self._rates,
            shadows=self._shadows,
            clock=self._clock,
            wall=time.time,
            random=random.random,
        )

    def _gateway(self) -> Gateway:
        kinds = standard_kinds()
        answers = AnswerRoutes(self.pipeline, kinds)
        rare = RareRoutes(
            revisions=self.revisions,
            readiness=self.readiness,
            find_decision=self._ledger.find,
            render_metrics=self.metrics.render,
            started_s=int(time.time()),
            degraded=self._kernels.degraded if self._kernels.is_needed else None,
        )
        return Gateway(
            revisions=self.revisions,
            readiness=self.readiness,
            hot={
                "/v1/chat/completions": answers.chat,
                "/v1/completions": answers.completions,
                "/v1/embeddings": EmbeddingRoute(self.revisions, self.pipeline.recorder, time.time).serve,
                "/v1/headrace/explain": ExplainRoute(self.pipeline, kinds, self._artefacts.weights).serve,
                "/v1/headrace/feedback": FeedbackRoute(
                    self.revisions, self._ledger.find, self._ledger.keep, time.time
                ).serve,
            },
            objects=self._library.routes(self.revisions, self._clock),
            rare=rare.application(),
            new_id=Ids(),
            clock=self._clock,
            refused=self._refused,
        )

    def _watch(self, settings: Settings) -> None:
        self.metrics.config_loaded(settings.revision)
        self.metrics.watch_admission(self._admission)
        self.metrics.watch_backends(self._liveness)
        self.metrics.watch_engines(self._processes.states)
        if self._kernels.is_needed:
            self.metrics.watch_kernels(self._kernels.refusals, self._kernels.served)

    def _liveness(self) -> Mapping[str, bool]:
        return self.revisions.current.liveness()

    def _is_up(self, backend: str) -> bool:
        engine = self._processes.engines.get(backend)
        return engine is None or engine.is_up()

    @staticmethod
    def _lost_lines(lines: int) -> None:
        """A log that nobody reads is no reason to disturb a request."""

    def _refused(self, error: HeadraceError, path: str) -> None:
        self.metrics.refused(endpoint_of(path), refusal(error).status)


def endpoint_of(path: str) -> str:
    """Return the word under which requests of a path are counted."""
    for prefix in OBJECTS:
        if path == prefix or path.startswith(f"{prefix}/"):
            return prefix.rpartition("/")[2]
    return ENDPOINT_OF.get(path, "other")
