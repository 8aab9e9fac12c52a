"""A trained run as a backend of Label Studio: it predicts, and learns from what is corrected."""
