"""Videos become frames at a fixed rate, and pairs of frames become optical flow."""
