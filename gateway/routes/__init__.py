"""One module a group of routes; each takes what it needs and returns handlers, none holds state."""
