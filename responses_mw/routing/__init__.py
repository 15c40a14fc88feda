"""Choosing who answers a turn: everything the router knows and decides, and nothing it sends."""
