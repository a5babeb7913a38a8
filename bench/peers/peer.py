"""What is the same for all servers: start, answers, load, stop. All have the same models (make_models.py)."""

import contextlib
import glob
import json
import os
import select
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import grpc
import numpy as np

from harness import build_path, protos
from harness.processes import proportional_bytes
from harness.tensors import infer_outputs, infer_request

HERE = os.path.dirname(os.path.abspath(__file__))
SHAPES = {"small": (1, 64), "resnet18": (1, 3, 224, 224)}
START_SECONDS = 120
STOP_SECONDS = 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def read(path):
    with open(path, "rb") as file:
        return file.read()


def tree(pid):
    """A process and all that came of it."""
    found = [pid]
    for task in glob.glob(f"/proc/{pid}/task/*/children"):
        with contextlib.suppress(OSError):
            for child in read(task).split():
                found += tree(int(child))
    return found


def shared_out_memory(pid):
    """Bytes of all processes of the tree, what they share counted once (PSS)."""
    total = 0
    for one in tree(pid):
        # It may end meanwhile.
        with contextlib.suppress(OSError, ValueError):
            total += proportional_bytes(one)
    return total


class Peer:
    """A server that is started for each round. Subclasses say how it is started and asked."""

    name = ""
    client = ""
    settings = ""
    # How far its answers may be from the model's, as part of the largest number.
    tolerance = 1e-4

    def __init__(self, models, work):
        self.models = models
        self.work = os.path.join(work, self.name.lower().replace(" ", "_").replace(",", ""))
        os.makedirs(self.work, exist_ok=True)
        self.port = free_port()
        self.environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PEER_MODELS": models,
            # Where the peers' programs find net.py.
            "PYTHONPATH": os.path.join(HERE, "servers"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def command(self):
        raise NotImplementedError

    def infer(self, model):
        """The model's answer to its input; raises what says that it has none."""
        raise NotImplementedError

    def load(self, model, clients, seconds):
        """What the load generator tells of a closed loop."""
        raise NotImplementedError

    def load_both(self, light, heavy, seconds):
        """What it tells of two loads, each a model and clients, where the light one is never without
        the heavy one beside it."""
        raise NotImplementedError

    def load_both_paced(self, light, rate, heavy, seconds):
        """The same, where calls of a light model come at so many a second, however soon they are answered. None
        where the load generator has no such pace."""
        return None

    @contextlib.contextmanager
    def running(self):
        """The server; seconds until both models answered, and its memory then."""
        begin = time.monotonic()
        with open(os.path.join(self.work, "log"), "wb") as log:
            process = subprocess.Popen(
                self.command(),
                env=self.environment,
                cwd=self.work,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            for model in SHAPES:
                self._await_answer(process, model, begin + START_SECONDS)
            yield time.monotonic() - begin, shared_out_memory(process.pid)
        finally:
            self._stop(process)

    def _await_answer(self, process, model, deadline):
        while True:
            try:
                answer = self.infer(model)
                break
            except (OSError, urllib.error.URLError, grpc.RpcError) as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    log = read(os.path.join(self.work, "log")).decode(errors="replace")
                    raise RuntimeError(f"{self.name} did not come up: {error}\n{log}") from error
                time.sleep(0.05)
        expected = np.frombuffer(read(os.path.join(self.models, model + ".output")), np.float32)
        most = self.tolerance * np.abs(expected).max()
        np.testing.assert_allclose(np.ravel(answer), expected, rtol=0, atol=most)

    @staticmethod
    def _stop(process):
        """Ends it and all that came of it, also what has left its group."""
        with contextlib.ExitStack() as stack:
            handles = []
            for pid in tree(process.pid):
                # It may end meanwhile.
                with contextlib.suppress(OSError):
                    handles.append(os.pidfd_open(pid))
                    stack.callback(os.close, handles[-1])
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_SECONDS)
            process.wait()
            for handle in handles:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                # Readable once the process has ended.
                select.select([handle], [], [], STOP_SECONDS)


class GrpcPeer(Peer):
    """A server of the Open Inference Protocol."""

    client = "tandem bench"

    def infer(self, model):
        rows = np.frombuffer(read(os.path.join(self.models, model + ".input")), np.float32)
        request = infer_request(model, {"INPUT": rows.reshape(SHAPES[model])})
        with grpc.insecure_channel(
            f"127.0.0.1:{self.port}", options=[("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            reply = protos.infer_service(channel).ModelInfer(request, timeout=10)
        return infer_outputs(reply)["OUTPUT"]

    def load(self, model, clients, seconds):
        with self._bench(model, f"--concurrency={clients}", seconds) as process:
            return self._report(process)

    def load_both(self, light, heavy, seconds):
        model, clients = light
        return self._both(self._bench(model, f"--concurrency={clients}", seconds), heavy, seconds)

    def load_both_paced(self, light, rate, heavy, seconds):
        return self._both(self._bench(light, f"--rate={rate}", seconds), heavy, seconds)

    def _both(self, light, heavy, seconds):
        # Both warm up together; what comes later, and a little more of it, ends later.
        model, clients = heavy
        with light, self._bench(model, f"--concurrency={clients}", seconds + 0.1) as other:
            return self._report(light), self._report(other)

    def _bench(self, model, how_many, seconds):
        command = [
            build_path("tandem"),
            "bench",
            model,
            f"--target=127.0.0.1:{self.port}",
            how_many,
            f"--seconds={seconds}",
            "--json",
        ]
        return subprocess.Popen(command, stdout=subprocess.PIPE)

    def _report(self, process):
        output = process.communicate()[0]
        if process.returncode:
            raise RuntimeError(f"{self.name}: tandem bench ended with {process.returncode}")
        return json.loads(output)["levels"][0]


class HttpPeer(Peer):
    """A server of its own protocol over HTTP."""

    client = "wrk"
    content_type = "application/octet-stream"
    prefix = "/"

    def encode(self, data):
        return data

    def decode(self, data):
        return data

    def url(self, model):
        return f"http://127.0.0.1:{self.port}{self.prefix}{model}"

    def infer(self, model):
        body = self.encode(read(os.path.join(self.models, model + ".input")))
        request = urllib.request.Request(self.url(model), body, {"Content-Type": self.content_type})
        with urllib.request.urlopen(request, timeout=10) as reply:
            return np.frombuffer(self.decode(reply.read()), np.float32)

    def load(self, model, clients, seconds):
        # As `tandem bench` does by itself.
        for duration in (1, max(round(seconds), 1)):
            with self._wrk(model, clients, duration) as process:
                report = self._report(process)
        return report

    def load_both(self, light, heavy, seconds):
        with self._wrk(*heavy, 3600) as process:
            try:
                report = self.load(*light, seconds)
            finally:
                # It tells what it measured until then.
                process.send_signal(signal.SIGINT)
            return report, self._report(process)

    def _wrk(self, model, clients, seconds):
        body = os.path.join(self.work, model + ".body")
        with open(body, "wb") as file:
            file.write(self.encode(read(os.path.join(self.models, model + ".input"))))
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "-s"]
        return subprocess.Popen(
            [*command, os.path.join(HERE, "wrk.lua"), self.url(model)],
            env={**os.environ, "BODY": body, "CONTENT_TYPE": self.content_type},
            stdout=subprocess.PIPE,
        )

    def _report(self, process):
        output = process.communicate()[0]
        if process.returncode:
            raise RuntimeError(f"{self.name}: wrk ended with {process.returncode}")
        return json.loads(output.splitlines()[-1])


class Environment:
    """Where install.sh has put a peer."""

    def __init__(self, name):
        found = glob.glob(
            os.path.join(os.environ["TANDEM_CACHE"], "peers", name + "-*", ".complete")
        )
        if not found:
            raise RuntimeError(f"{name} is not installed")
        self.path = os.path.dirname(max(found, key=os.path.getmtime))
        self.python = os.path.join(self.path, "bin", "python")

    def packages(self):
        (path,) = glob.glob(os.path.join(self.path, "lib", "python3*", "site-packages"))
        return path
