"""Cutting converted text into passages that fit the embedder."""
