"""The model store: fetches pinned bytes, keeps them by content, and hands out folders ready to serve."""
