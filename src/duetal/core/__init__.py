"""The value types that all other folders use, errors and files."""
