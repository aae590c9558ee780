"""What a filter means, said a second time in plain Python, to compare the index with."""

from headrace.contracts.retrieval import Attributes, Compare, Filter, Scalar


def passes(where: Filter, attributes: Attributes) -> bool:
    """Tell whether a document with these attributes passes."""
    if not isinstance(where, Compare):
        results = [passes(part, attributes) for part in where.filters]
        return all(results) if where.op == "and" else any(results)
    value = attributes.get(where.key)
    if where.op in {"in", "nin", "eq", "ne"}:
        values = where.value if isinstance(where.value, tuple) else (where.value,)
        is_there = value is not None and any(_kind(value) is _kind(one) and value == one for one in values)
        return is_there is (where.op in {"in", "eq"})
    if value is None or isinstance(where.value, tuple) or _kind(value) is not _kind(where.value):
        return False
    order = _order(value, where.value)
    return {"gt": order > 0, "gte": order >= 0, "lt": order < 0, "lte": order <= 0}[where.op]


def _kind(value: Scalar) -> type:
    return type(value) if isinstance(value, bool | str) else float


def _order(one: Scalar, other: Scalar) -> int:
    if isinstance(one, str) and isinstance(other, str):
        return (one > other) - (one < other)
    return (float(one) > float(other)) - (float(one) < float(other))
