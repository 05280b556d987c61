"""The contracts of the backends as test classes, for ours and for those of others.

Derive a class from a contract, give it the fixture that the contract names, and run it with pytest.
"""
