"""What the seed's document shows as usage, as tests under the four names that it gives them.

Each runs twice over on one directory, as a program does that is started again: what it left the first time is
there the second time, and nothing of it is in the way.
"""
