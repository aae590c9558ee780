"""Answers from documents: what is searched, what the model is shown of it, and which citations of its answer hold."""
