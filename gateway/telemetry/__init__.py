"""What the operator sees: metrics, traces and one log event per request."""
