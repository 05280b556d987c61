"""The tables and their statements, whatever database runs them."""
