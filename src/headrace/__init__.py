"""headrace: an LLM serving gateway that answers each question on the cheapest tier that is safe."""

__version__ = "0.1.0"
