"""Builds the gateway from its settings: the only place that names concrete backends, artefacts and sinks."""
