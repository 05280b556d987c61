"""The nouns and the rules. Imports the standard library only and does no I/O."""
