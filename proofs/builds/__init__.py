"""Builds of images that are killed: at every step, by a real SIGKILL, and while tools run.

A build runs in a child process in which an audit hook (PEP 578) sees whatever Python is
about to do to files and processes. The product knows nothing of it. One run without a
kill counts these points; then each of them is tried in a pool of its own, killed *before*
the point, and, where the point starts a tool, also a moment after it (`killing`).

Afterwards (`judging`): whatever the pool offers as an image is whole to the last byte;
nothing is mounted and nothing runs any more; building again gives the same image; and
then the pool and its archive hold exactly the files of a pool in which nobody died.

A point takes about one and a half seconds, more where other work keeps the disk busy: the
2,900 points of ``app`` over an hour. A line tells of every hundred. ``--count 60`` tries
some of them in about a minute and a half.
"""
