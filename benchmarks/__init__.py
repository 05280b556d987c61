"""What the engine costs, one question a file, each beside the raw limit of the machine in the same run.

``python -m benchmarks`` asks every question, ``python -m benchmarks save_small listing`` some of them.
"""
