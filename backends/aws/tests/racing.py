"""Writers of one ledger who all want the same record at the same moment."""

import threading

from immutable.errors import SequenceTaken


def race(stores, stream, number):
    """Let every store append under one number, and return who won, and who lost.

    Who fails otherwise, or does not end in two minutes, is in neither list.
    """
    won, lost, gate = [], [], threading.Barrier(len(stores))

    def write(me, store):
        gate.wait(timeout=60)
        try:
            store.append(stream, number, b"by %d" % me)
        except SequenceTaken:
            lost.append(me)
        else:
            won.append(me)

    threads = [
        threading.Thread(target=write, args=(me, store))
        for me, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    return won, lost
