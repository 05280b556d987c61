"""The report of a version for people: what it shows, its pictures, its page."""
