"""What are the models worth, and what do trainings cost, beside what is to be reached?"""
