"""Session state for the Responses API."""
