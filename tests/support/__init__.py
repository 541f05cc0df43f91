"""What tests work with: a PostgreSQL, a broker process, and waiting for something to become true."""
