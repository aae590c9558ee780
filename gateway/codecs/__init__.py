"""Wire formats of the API: bytes of a request to a call of the contracts, and an answer back to bytes."""
