"""Pure decisions: conditions, checks of a policy, names, and the plan of a request. No I/O, no clock."""
