"""The file search of a chat request: apart from the client's own tools, because the gateway runs it. Pure."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from headrace.contracts.chat import JsonObject
from headrace.contracts.retrieval import FileSearch
from headrace.gateway import strict
from headrace.gateway.codecs.filters import read_filter
from headrace.gateway.tools.file_search import FILE_SEARCH, FileSearchTool

Include = Literal["file_search_call.results"]


class ForcedFileSearch(msgspec.Struct, tag_field="type", tag="file_search", forbid_unknown_fields=True):
    """`tool_choice` that asks for a search."""


def split(tools: Sequence[JsonObject], *, is_forced: bool) -> tuple[list[JsonObject], FileSearch | None]:
    """Return the client's own tools, and the file search among them; InvalidRequest names a filter that means none."""
    own: list[JsonObject] = []
    found: FileSearch | None = None
    for index, tool in enumerate(tools):
        if tool.get("type") == FILE_SEARCH:
            found = _read(tool, f"tools[{index}]", is_forced=is_forced)
        else:
            own.append(tool)
    return own, found


def _read(tool: JsonObject, at: str, *, is_forced: bool) -> FileSearch:
    shape = strict.convert(tool, FileSearchTool, at=at)
    ranking = shape.ranking_options
    return FileSearch(
        collections=tuple(shape.vector_store_ids),
        k=shape.max_num_results,
        where=None if shape.filters is None else read_filter(shape.filters, at=f"{at}.filters"),
        min_score=None if ranking is None else ranking.score_threshold,
        rerank=False if ranking is not None and ranking.ranker == "none" else None,
        is_forced=is_forced,
    )
