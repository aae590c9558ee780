"""Tool kinds a client may put into `tools`."""
