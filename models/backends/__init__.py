"""Backends: what answers. HTTP clients of engines and providers, engine processes, and a scripted fake."""
