"""Videos as upright frames at a fixed rate, streamed."""
