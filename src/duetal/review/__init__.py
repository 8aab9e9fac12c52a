"""What a run found in videos is corrected, and videos are labelled, on a page in a browser."""
