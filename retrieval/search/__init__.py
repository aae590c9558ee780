"""Searching a collection: keywords and vectors side by side, fused, reranked, judged and measured."""
