"""The durable log: append (group commit), read, and the live tail."""
