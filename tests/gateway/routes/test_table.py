from typing import Any

import pytest

from headrace.contracts.errors import NotFound
from headrace.gateway.exchange import Exchange
from headrace.gateway.responses import MethodNotAllowed
from headrace.gateway.routes.table import Route, Table


class Desk:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.took: list[float] = []
        routes = [
            Route("GET", "/v1/things", self.note("list")),
            Route("POST", "/v1/things", self.note("make")),
            Route("GET", "/v1/things/{}", self.note("get")),
            Route("POST", "/v1/things/{}/parts/{}/stop", self.note("stop")),
        ]
        self.table = Table(routes, self.took.append, clock=lambda: 3.0)

    def note(self, name: str) -> Any:
        async def serve(_: Exchange, *ids: str) -> None:
            self.asked.append((name, *ids))

        return serve

    async def ask(self, method: str, path: str) -> None:
        scope = {"type": "http", "path": path, "method": method, "headers": []}
        await self.table.serve(Exchange(scope, None, None, id_hex="0" * 32, clock=lambda: 1.0))


async def test_a_request_finds_its_function_with_its_ids() -> None:
    desk = Desk()
    for method, path in (
        ("GET", "/v1/things"),
        ("POST", "/v1/things"),
        ("GET", "/v1/things/a b/".rstrip("/")),
        ("POST", "/v1/things/x/parts/y/stop"),
    ):
        await desk.ask(method, path)
    assert desk.asked == [("list",), ("make",), ("get", "a b"), ("stop", "x", "y")]
    assert desk.took == [2.0] * 4


@pytest.mark.parametrize(
    "path", ["/v1/things/", "/v1/things//", "/v1/things/x/parts", "/v1/things/x/parts//stop", "/v1/things/../files"]
)
async def test_another_path_is_not_found(path: str) -> None:
    desk = Desk()
    with pytest.raises(NotFound) as refused:
        await desk.ask("GET", path)
    assert refused.value.code == "unknown_url"
    assert desk.asked == []


async def test_another_method_is_told_which_there_are() -> None:
    with pytest.raises(MethodNotAllowed) as refused:
        await Desk().ask("DELETE", "/v1/things")
    assert refused.value.allowed == "GET, POST"
