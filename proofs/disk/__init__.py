"""The SQLite ledger under disks that fail, processes that die and power that is cut.

The store runs in a child process under ``shim.c``, which is loaded before the C library
and stands between SQLite and the files: it counts every operation on them, logs it, and
makes one of them fail, or the process end there. Another SQLite with a file system of
its own (apsw has one) would be easier to drive, but would not be the copy of SQLite that
Python's ``sqlite3`` uses, and that is the one the product runs on. The shim also sees
what the product does without SQLite: making directories and syncing them.

1. *Faults.* Each operation fails in each way (`faults`); the store must raise an error
   that is typed and true (`judging`), and go on when the fault stops.
2. *Kills.* The process is killed before, at and after each operation, and so is the one
   that recovers from that (`striking`).
3. *Power cuts.* From the log of a run, what may be on the disk is put together after each
   of its operations, also after faults and in recoveries (`nodes`, `power`, `states`).

Afterwards the real store, without the shim, must find each acknowledged record, at most
one more, no gap, nothing damaged, and must be able to append (`oracle`).

What is left out: SQLite goes on, and tells nobody, when it cannot open the directory
that it is about to sync, or when the sync of the directory after a new journal fails. No
power is cut after such an error; how many there were is counted.
"""
