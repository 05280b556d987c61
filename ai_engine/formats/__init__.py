"""From an object to bytes and back."""
