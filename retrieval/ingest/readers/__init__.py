"""One reader a kind of file: bytes in, text out. They run in the locked-down process only."""
