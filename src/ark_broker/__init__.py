"""Ark Broker: one durable event log, and one place to look, for LLM agent platforms."""

__version__ = "0.1.0"
