"""From the operator's YAML to one frozen settings tree, with every problem told at its file, line and column."""
