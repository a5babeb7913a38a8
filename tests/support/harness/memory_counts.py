"""What a server's process allocates and copies, counted by the library of bench/memory_counter.cc."""

import os
import tempfile

import numpy as np

from harness import build_path

LIBRARY = "tandem-memory-counter.so"
# As in memory_counter.cc: class n is of sizes from 2^(n-1) to 2^n - 1.
CLASSES = 65


class Counts:
    """Times and bytes by class of size."""

    def __init__(self, values):
        # [allocations, copies] × class × [times, bytes]
        self._values = values

    def __sub__(self, before):
        return Counts(self._values - before._values)

    def __truediv__(self, requests):
        return Counts(self._values / requests)

    def allocations(self, of_at_least=0):
        """How many of that size; a power of 2, or 0."""
        return self._values[0, of_at_least.bit_length() :, 0].sum()

    def allocated_bytes(self):
        return self._values[0, :, 1].sum()

    def copies(self):
        return self._values[1, :, 0].sum()

    def copied_bytes(self):
        return self._values[1, :, 1].sum()

    def allocations_by_size(self):
        """Text: how many of up to so many bytes, for each class that has some."""
        parts = []
        for number, (times, _) in enumerate(self._values[0]):
            if times >= 0.05:
                parts.append(f"{times:.1f} of {1 << number >> 1}–{(1 << number) - 1} B")
        return ", ".join(parts)


class MemoryCounter:
    """Counts from the start of the server's process on. Use it in a `with` block around the server's."""

    def __init__(self):
        self._file = tempfile.NamedTemporaryFile(prefix="tandem-counts-")
        self._file.truncate(2 * CLASSES * 2 * 8)
        self._values = np.memmap(self._file.name, np.uint64, "r", shape=(2, CLASSES, 2))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def watch(self, server):
        """Has a server, which is not yet started, counted."""
        server.environment["LD_PRELOAD"] = build_path(LIBRARY)
        server.environment["TANDEM_MEMORY_COUNTS"] = self._file.name
        return server

    def read(self):
        return Counts(np.array(self._values, dtype=np.int64))

    def per_request(self, ask, requests=40, warm_up=20):
        """What each request costs on average; `ask` sends one and waits for its answer."""
        for _ in range(warm_up):
            ask()
        before = self.read()
        for _ in range(requests):
            ask()
        return (self.read() - before) / requests


def is_available():
    return os.path.exists(build_path(LIBRARY))
