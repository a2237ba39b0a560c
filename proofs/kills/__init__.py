"""A kill at every point of every call, and at every point of every recovery from it.

A crash point is a place where a process may die: before and after each call to the
backend and the switch, before and after each write to the ledger. They are counted in a
run that nobody disturbs, and the proof fails when one of them was not tried.
"""
