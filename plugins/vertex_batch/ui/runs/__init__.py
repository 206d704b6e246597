"""One run: how it ended, and what a person can do with it."""
