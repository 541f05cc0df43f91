"""The broker's own API."""
