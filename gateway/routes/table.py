"""Routes below one path, for objects that are made, read, changed and deleted: method and path to a function."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from headrace.contracts.errors import NotFound
from headrace.gateway.exchange import Exchange
from headrace.gateway.responses import MethodNotAllowed

Serve = Callable[..., Awaitable[None]]
PARAMETER: Final = "{}"


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path; a `{}` in the path stands for an id, which the function is given."""

    method: str
    path: str
    serve: Serve


class Table:
    """Finds the function of a request. answered: told the seconds that each answer took."""

    def __init__(self, routes: Iterable[Route], answered: Callable[[float], None], clock: Callable[[], float]) -> None:
        self._answered = answered
        self._clock = clock
        self._paths: dict[tuple[str, ...], dict[str, Serve]] = {}
        for route in routes:
            self._paths.setdefault(tuple(route.path.split("/")), {})[route.method] = route.serve

    async def serve(self, exchange: Exchange) -> None:
        """Serve one request; 404 for a path that is not here, 405 for a method that its path has not."""
        path, method = exchange.scope["path"], exchange.scope["method"]
        words = tuple(path.split("/"))
        for pattern, methods in self._paths.items():
            if not _matches(pattern, words):
                continue
            if method not in methods:
                raise MethodNotAllowed(method, path, ", ".join(sorted(methods)))
            ids = (word for name, word in zip(pattern, words, strict=True) if name == PARAMETER)
            await methods[method](exchange, *ids)
            self._answered(self._clock() - exchange.started)
            return
        raise NotFound(f"no such route: {method} {path[:200]}", code="unknown_url")


def _matches(pattern: tuple[str, ...], words: tuple[str, ...]) -> bool:
    return len(pattern) == len(words) and all(
        word if name == PARAMETER else name == word for name, word in zip(pattern, words, strict=True)
    )
