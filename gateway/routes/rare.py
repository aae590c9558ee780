"""The FastAPI application: models, decisions, health and metrics. Every error leaves in OpenAI's shape."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from headrace.contracts.errors import HeadraceError, InvalidRequest, NotFound
from headrace.contracts.principal import Principal
from headrace.gateway.readiness import Readiness
from headrace.gateway.responses import MethodNotAllowed, refusal
from headrace.gateway.revisions import Revisions
from headrace.gateway.routes import listing

NOT_FOUND, WRONG_METHOD = 404, 405

FindDecision = Callable[[str, str], Awaitable[dict[str, Any] | None]]


@dataclass(frozen=True, slots=True)
class RareRoutes:
    """What the rare routes read."""

    revisions: Revisions
    readiness: Readiness
    find_decision: FindDecision
    render_metrics: Callable[[], tuple[bytes, str]]
    started_s: int
    degraded: Callable[[], Sequence[str]] | None = None

    def application(self) -> FastAPI:
        """Return the application; its own pages (docs, schema) are off."""
        app = FastAPI(title="headrace", docs_url=None, redoc_url=None, openapi_url=None)
        app.get("/v1/models")(self.models)
        app.get("/v1/models/{name:path}")(self.model)
        app.get("/v1/headrace/decisions/{decision_id}")(self.decision)
        app.get("/healthz")(self.healthz)
        app.get("/livez")(self.livez)
        app.get("/readyz")(self.readyz)
        app.get("/metrics")(self.metrics)
        app.add_exception_handler(HeadraceError, show_ours)
        app.add_exception_handler(HTTPException, show_http)
        app.add_exception_handler(RequestValidationError, show_invalid)
        return app

    async def models(self) -> dict[str, Any]:
        """`GET /v1/models`: what a request may name."""
        revision = self.revisions.current
        return {"object": "list", "data": listing.listed(revision.policy, revision.embedding_id, self.started_s)}

    async def model(self, name: str) -> dict[str, Any]:
        """`GET /v1/models/{id}`."""
        for model in (await self.models())["data"]:
            if model["id"] == name:
                return dict(model)
        raise listing.unknown_model(name)

    async def decision(self, decision_id: str, request: Request) -> dict[str, Any]:
        """`GET /v1/headrace/decisions/{id}`: the record of an answer of this tenant."""
        record = await self.find_decision(decision_id, principal_of(request).tenant)
        if record is None:
            raise NotFound(f"no decision '{decision_id[:64]}' is on record", code="decision_not_found")
        return record

    async def livez(self) -> dict[str, str]:
        """`GET /livez`: the process runs its loop."""
        return {"status": "ok"}

    async def healthz(self) -> dict[str, Any]:
        """`GET /healthz`: the revision in force and what is live."""
        revision = self.revisions.current
        tiers = {tier.id: any(map(revision.is_live, tier.backend_ids())) for tier in revision.policy.tiers}
        return {"status": "ok", "revision": revision.policy.revision, "tiers": tiers}

    async def readyz(self) -> JSONResponse:
        """`GET /readyz`: 200 when traffic may come. `degraded` is there where something serves, but less well."""
        revision = self.revisions.current
        obstacles = self.readiness.obstacles(revision.policy, revision.is_live)
        said: dict[str, Any] = {"ready": not obstacles, "waiting_for": list(obstacles)}
        if self.degraded is not None and (degraded := await asyncio.to_thread(self.degraded)):
            said["degraded"] = list(degraded)
        return JSONResponse(said, status_code=503 if obstacles else 200)

    async def metrics(self) -> Response:
        """`GET /metrics`: the Prometheus page."""
        page, kind = self.render_metrics()
        return Response(page, media_type=None, headers={"content-type": kind})


def principal_of(request: Request) -> Principal:
    """Return who asks, as gateway/app.py found it."""
    principal: Principal = request.scope["state"]["principal"]
    return principal


async def show_ours(_: Request, exc: Exception) -> JSONResponse:
    """Render an error of the tree."""
    shown = refusal(exc if isinstance(exc, HeadraceError) else HeadraceError(""))
    headers = {name.decode(): value.decode() for name, value in shown.headers()}
    return JSONResponse(shown.body(), status_code=shown.status, headers=headers)


async def show_http(request: Request, exc: Exception) -> JSONResponse:
    """Render what the framework refuses: no such route, no such method."""
    status = exc.status_code if isinstance(exc, HTTPException) else NOT_FOUND
    if status == WRONG_METHOD:
        allowed = (getattr(exc, "headers", None) or {}).get("Allow", "")
        return await show_ours(request, MethodNotAllowed(request.method, request.scope["path"], allowed))
    if status == NOT_FOUND:
        path = request.scope["path"][:200]
        return await show_ours(request, NotFound(f"no such route: {request.method} {path}", code="unknown_url"))
    return await show_ours(request, InvalidRequest("the request cannot be served"))


async def show_invalid(request: Request, exc: Exception) -> JSONResponse:
    """Render a parameter that does not fit."""
    del exc
    return await show_ours(request, InvalidRequest("a parameter of the request is invalid"))
