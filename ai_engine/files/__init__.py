"""Steps that make a file durable, and the place where it is written."""
