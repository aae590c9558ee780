"""One record per request: what was decided, tried, spent and answered. Never a word of the prompt or the answer."""
