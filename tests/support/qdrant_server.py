"""Qdrant's REST routes that headrace uses, over the embedded Qdrant: a server to restart, empty and break at will."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from qdrant_client import QdrantClient, models


class Server(ThreadingHTTPServer):
    """data: the embedded Qdrant; requests: (method, path) of every request; failing: answer all with 500."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.data = QdrantClient(":memory:", force_disable_check_same_thread=True)
        self.turn = threading.Lock()
        self.requests: list[tuple[str, str]] = []
        self.keys: set[str | None] = set()
        self.failing = False

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def empty(self) -> None:
        """Forget every collection, as a server without its disk would."""
        for collection in self.data.get_collections().collections:
            self.data.delete_collection(collection.name)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def handle_one(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        path = self.path.split("?")[0]
        self.server.requests.append((self.command, path))
        self.server.keys.add(self.headers.get("api-key"))
        if self.server.failing:
            return self._answer(500, {"status": {"error": "out of order"}})
        try:
            with self.server.turn:
                result = _route(self.server.data, self.command, path.strip("/").split("/"), body)
        except ValueError as exc:
            return self._answer(404, {"status": {"error": str(exc)}})
        return self._answer(200, {"result": result, "status": "ok", "time": 0.0})

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = handle_one  # noqa: N815  (http.server's names)

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        encoded = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's name)
        """Say nothing."""


def _route(data: QdrantClient, method: str, parts: list[str], body: dict[str, Any]) -> object:
    name, operation = parts[1], (method, *parts[2:])
    result: object = {"operation_id": 0, "status": "completed"}
    if operation == ("GET", "exists"):
        result = {"exists": data.collection_exists(name)}
    elif operation == ("GET",):
        result = data.get_collection(name).model_dump(mode="json")
    elif operation == ("PUT",):
        made = models.CreateCollection.model_validate(body)
        result = data.create_collection(name, vectors_config=made.vectors, metadata=made.metadata)
    elif operation == ("PATCH",):
        result = data.update_collection(name, metadata=body["metadata"])
    elif operation == ("DELETE",):
        result = data.delete_collection(name)
    elif operation == ("PUT", "points"):
        data.upsert(name, points=models.PointsList.model_validate(body).points)
    elif operation == ("POST", "points", "delete"):
        data.delete(name, points_selector=models.PointIdsList.model_validate(body))
    elif operation == ("POST", "points", "query"):
        asked = models.QueryRequest.model_validate(body)
        answer = data.query_points(
            name, query=asked.query, limit=asked.limit or 10, query_filter=asked.filter, with_payload=False
        )
        result = answer.model_dump(mode="json")
    elif operation != ("PUT", "index"):
        raise ValueError(f"no route {operation}")
    return result


@contextmanager
def running(port: int = 0) -> Iterator[Server]:
    """Serve until the block ends."""
    server = Server(port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        server.data.close()
