"""What bounds a request before it runs: places on a tier, and money."""
