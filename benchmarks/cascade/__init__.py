"""Parts of the cascade_live benchmark: what is composed from recorded answers, and what is measured live."""
