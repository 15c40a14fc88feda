"""The pytest plugin. Loaded at every start of pytest: it imports nothing else of this package."""
