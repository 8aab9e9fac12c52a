"""One file per outside format: each reads into, or writes from, the core types."""
