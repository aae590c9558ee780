"""What `headrace up` does before it serves: look at the machine, build the engine environment, ready the models."""
