"""The files and vector stores of tenants: one SQLite catalogue, blobs by hash, background ingest, search over them."""
