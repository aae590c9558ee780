"""The models headrace knows: one YAML file a model, read strictly."""
