"""The shape of OpenAI's `file_search` in `tools`: documents that the gateway searches itself, before a model answers.

What its filters mean is read in gateway/codecs/file_search.py.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from headrace.contracts.errors import InvalidRequest

FILE_SEARCH: Final = "file_search"
MAX_STORES: Final = 16
MAX_HITS: Final = 50

StoreId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


class RankingOptions(msgspec.Struct, forbid_unknown_fields=True):
    """How hits are ranked; `none` leaves reranking out, the other rankers leave it to the collection."""

    ranker: Literal["none", "auto", "default-2024-11-15", "default_2024_08_21"] | None = None
    score_threshold: Annotated[float, Meta(ge=0.0, le=1.0)] | None = None


class FileSearchTool(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`{"type": "file_search", "vector_store_ids": [...], ...}`."""

    type: Literal["file_search"]
    vector_store_ids: Annotated[list[StoreId], Meta(min_length=1, max_length=MAX_STORES)]
    max_num_results: Annotated[int, Meta(ge=1, le=MAX_HITS)] | None = None
    filters: dict[str, Any] | None = None
    ranking_options: RankingOptions | None = None

    def tool_name(self) -> str:
        """Return its type: a request has one file search at most."""
        return FILE_SEARCH

    def check(self, at: str) -> None:
        """Refuse a store that stands twice."""
        if len(set(self.vector_store_ids)) < len(self.vector_store_ids):
            raise InvalidRequest(f"'{at}.vector_store_ids' names a store twice", param=f"{at}.vector_store_ids")
