"""The two branches and the pieces they are made of."""
