"""Finding the nearest vectors with Qdrant, a server or embedded; the collection's database stays the truth."""
