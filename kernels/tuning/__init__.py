"""Finding tables for a device by timing: `python -m headrace.kernels.tuning.tune`. Serving imports nothing of this."""
