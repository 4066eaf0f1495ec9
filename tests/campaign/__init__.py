"""What is done to hiereval on purpose: kills, flipped bits, crowds of processes, mutated inputs.

Each function takes a number and a seed, so that the tests do little of what
benchmarks/reliability.py does a lot of.
"""
