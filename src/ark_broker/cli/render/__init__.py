"""JSON of the broker to text for people: pure, so that all of it is tested without a broker."""
