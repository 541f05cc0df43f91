"""What the broker sends out by itself: where it may go, and how it is written and signed."""
