"""Code of ours that runs inside an engine's process, loaded by vLLM as plugins. Nothing else imports it."""
