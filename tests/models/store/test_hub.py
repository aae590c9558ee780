import socket

from headrace.models.store.hub import Hub


def test_a_silent_hub_is_asked_once_a_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        hub = Hub(f"http://127.0.0.1:{server.getsockname()[1]}", connect_s=0.2)
        assert not hub.is_reachable()
        server.accept()[0].close()
        assert not hub.is_reachable()
        try:
            server.accept()
        except TimeoutError:
            return
        raise AssertionError("the hub was asked again")
