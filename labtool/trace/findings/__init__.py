"""What is wrong in a capture: only what its packets show."""
