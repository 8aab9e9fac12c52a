"""The frozen networks that see for both branches, and where their weights come from."""
