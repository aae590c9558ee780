from headrace.contracts.errors import NotFound
from headrace.gateway.routes.listing import unknown_model


def test_an_unknown_model_is_named_and_shortened() -> None:
    error = unknown_model("x" * 1000)
    assert isinstance(error, NotFound)
    assert len(error.message) < 400
    assert (error.param, error.code) == ("model", "model_not_found")
