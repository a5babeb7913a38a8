"""Checked load on a server: clients that ask for a model one request after the other, and hold each
answer against its request.
"""

import threading

import grpc
import numpy as np

from harness import protos
from harness.tensors import infer_outputs, infer_request

TIMEOUT = 60
# Between a client's requests: a load that never pauses takes the cores from the server that it is for.
PAUSE_SECONDS = 0.02


class Load:
    """Clients that ask from the start of the `with` block to its end. `failures` holds what went wrong
    (there should be nothing), `versions` the versions that answered.
    """

    def __init__(self, address, model, clients=4, width=4, connection_each=False):
        self._address = address
        # Every request opens a connection of its own.
        self._connection_each = connection_each
        self._model = model
        self._width = width
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._some = threading.Condition(self._lock)
        self.answered = 0
        self.failures = []
        self.versions = set()
        self._threads = [
            threading.Thread(target=self._ask, args=(number,)) for number in range(clients)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        self.wait_for_more(1)
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, count):
        """Waits until so many more requests have been answered."""
        with self._lock:
            goal = self.answered + len(self.failures) + count
            done = self._some.wait_for(
                lambda: self.answered + len(self.failures) >= goal, timeout=TIMEOUT
            )
        assert done, f"no answers come: {self.answered} so far, {self.failures[:3]}"

    def _connect(self):
        return grpc.insecure_channel(
            self._address, options=[("grpc.use_local_subchannel_pool", 1)]
        )

    def _ask(self, number):
        channel = self._connect()
        turn = 0
        while not self._stop.wait(PAUSE_SECONDS):
            turn += 1
            if self._connection_each:
                channel.close()
                channel = self._connect()
            infer = protos.infer_service(channel)
            # No other client sends the same.
            row = np.full((1, self._width), number * 100_000 + turn % 100_000, np.float32)
            request = infer_request(self._model, {"INPUT0": row})
            try:
                reply = infer.ModelInfer(request, timeout=TIMEOUT)
                right = np.array_equal(infer_outputs(reply)["OUTPUT0"], row)
                error = None if right else f"a wrong answer to {row}: {reply}"
            except grpc.RpcError as failed:
                reply, error = None, f"{failed.code()}: {failed.details()}"
            with self._lock:
                if error is not None:
                    self.failures.append(error)
                else:
                    self.answered += 1
                    self.versions.add(reply.model_version)
                self._some.notify_all()
        channel.close()
