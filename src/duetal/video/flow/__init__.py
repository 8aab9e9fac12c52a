"""TV-L1 optical flow: one interface, three engines and OpenCV's as reference."""
