"""Bytes to Events: pure functions, one module a wire format."""
