"""For every test of every distribution: no test is judged by how long it took."""

from hypothesis import settings

settings.register_profile("immutable", deadline=None, print_blob=True)
settings.load_profile("immutable")
