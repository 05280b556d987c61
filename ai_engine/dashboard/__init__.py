"""The dashboard, a web page for people."""
