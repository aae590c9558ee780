import msgspec
import pytest

from headrace.contracts.errors import InvalidRequest
from headrace.gateway.tools.kinds import ToolKind, standard_kinds


class Search(msgspec.Struct):
    query: str

    def tool_name(self) -> str:
        return "search"

    def check(self, at: str) -> None:
        del at


def test_a_new_kind_is_one_registration() -> None:
    kinds = standard_kinds()
    with pytest.raises(InvalidRequest, match="supported values are: 'function', 'custom'"):
        kinds.read([{"type": "search", "query": "x"}])
    kinds.register(ToolKind("search", Search))
    assert kinds.read([{"type": "search", "query": "x"}]) == {"search": "search"}


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "ä", None, 3])
def test_a_tool_needs_a_plain_name(name: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        standard_kinds().read([{"type": "function", "function": {"name": name}}])
    assert caught.value.param == "tools[0].function.name"
