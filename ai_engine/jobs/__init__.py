"""Trainings that survive whatever is killed: who asks for them, who does them, and what is told of them."""
