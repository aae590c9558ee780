"""Says why a question is judged as it is: contributions, and training questions like it. Never on the hot path."""
