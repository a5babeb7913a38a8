"""`tandem serve` as a process of its own, with free ports, waited for by events and ended with an
assertion.
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

import grpc

from harness import build_path, protos
from harness.processes import Watch, children

# Bounds of waiting, generous since sanitizers slow everything down. Nothing ever waits that long
# when it works.
START_SECONDS = 60
STOP_SECONDS = 30

CPU_POOL = "--pool=cpu=device:cpu,processes:1,lanes:2,threads:1"
# A pool that runs the models of KIND_GPU on the CPU, so that these tests need no GPU.
GPU_STAND_IN = "--pool=gpu=device:cpu,serves:gpu,processes:1,lanes:2,threads:1"


def clean_environment():
    """The environment without variables that would set something of the server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TANDEM_")}


# How soon a state of the server is asked again that its log does not tell of.
ASK_AGAIN_SECONDS = 0.02

# Events of inotify.
MODIFIED = 0x2
MOVED_TO = 0x80


def watch_folder(folder, event=MOVED_TO):
    """A descriptor that gets readable when that happens to a file of the folder."""
    libc = ctypes.CDLL(None, use_errno=True)
    events = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    if events < 0 or libc.inotify_add_watch(events, os.fsencode(folder), event) < 0:
        raise OSError(ctypes.get_errno(), "inotify")
    return events


class Server:
    """A running server. Use it in a `with` block: its end is asserted to be clean, unless a test
    ended it itself.
    """

    def __init__(self, repository, flags=(CPU_POOL, GPU_STAND_IN), worker="tandem-worker-plain"):
        self._folder = tempfile.mkdtemp(prefix="tandem-server-")
        self.log_path = os.path.join(self._folder, "log")
        self.port_file = os.path.join(self._folder, "ports")
        self.environment = clean_environment()
        if worker is not None:
            self.environment["TANDEM_WORKER"] = build_path(worker)
        self.command = [
            build_path("tandem"),
            "serve",
            "--model-repository=" + repository,
            "--address=127.0.0.1",
            "--grpc-port=0",
            "--http-port=0",
            "--metrics-port=0",
            "--port-file=" + self.port_file,
            *flags,
        ]
        # Whom it runs as; None: as this process.
        self.user = None
        self.process = None
        self.ports = {}
        self.channel = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self._clean_up()
            raise
        return self

    def __exit__(self, kind, *_):
        try:
            if self.process.poll() is None:
                self.stop()
        except BaseException:
            kind = kind or AssertionError
            raise
        finally:
            if kind is not None:
                print("---- the server's log ----\n" + self.log(), flush=True)
            self._clean_up()

    def start(self):
        """Starts the server; returns when it listens and every model is loaded, or is known not to
        load.
        """
        folder_events = watch_folder(self._folder)
        self.spawn()
        try:
            self.ports = self._read_port_file(folder_events)
        finally:
            os.close(folder_events)
        self.channel = grpc.insecure_channel(
            self.address, options=[("grpc.max_receive_message_length", -1)]
        )
        self._wait_for_models()

    def spawn(self):
        """Starts the server, and waits for nothing."""
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                user=self.user,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def stop(self, timeout=STOP_SECONDS):
        """Asks the server to end, and asserts that it and its children do, with exit code 0."""
        with Watch(children(self.process.pid)) as workers:
            self.process.send_signal(signal.SIGTERM)
            code = self.process.wait(timeout)
            left = workers.wait(timeout)
        assert code == 0, f"the server ended with {code}\n{self.log()}"
        assert not left, f"these workers outlived the server: {left}"

    @property
    def address(self):
        return f"127.0.0.1:{self.ports['grpc']}"

    @property
    def infer(self):
        return protos.infer_service(self.channel)

    @property
    def prediction(self):
        return protos.prediction_service(self.channel)

    @property
    def health(self):
        return protos.health_service(self.channel)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_for_log(self, text, timeout=START_SECONDS):
        """Waits until the log holds the text, or fulfils the condition."""
        fulfilled = text if callable(text) else lambda log: text in log
        deadline = time.monotonic() + timeout
        with self.news() as wait:
            while not fulfilled(self.log()):
                if not wait(deadline - time.monotonic()):
                    raise AssertionError(f"the log does not hold '{text}'\n{self.log()}")

    @contextlib.contextmanager
    def news(self):
        """A function that waits until something is written into the log, for so many seconds at most;
        whether there was something. The log tells most of what happens in a server, so that whoever
        asks for a state again and again need not take the cores from those that bring it about.
        """
        events = watch_folder(self._folder, MODIFIED)
        poll = select.poll()
        poll.register(events, select.POLLIN)

        def wait(timeout=ASK_AGAIN_SECONDS):
            if not poll.poll(max(0, timeout) * 1000):
                return False
            os.read(events, 4096)
            return True

        try:
            yield wait
        finally:
            os.close(events)

    def status(self):
        return self.prediction.ServerStatus(
            protos.message("tandem.v1.ServerStatusRequest")(), timeout=START_SECONDS
        )

    def index(self):
        """State and reason of every model version: {(name, version): (state, reason)}."""
        reply = self.infer.RepositoryIndex(
            protos.message("inference.RepositoryIndexRequest")(), timeout=START_SECONDS
        )
        return {(m.name, m.version): (m.state, m.reason) for m in reply.models}

    def watch_health(self, service, wanted):
        """Waits, by the health service's stream of events, until it says `wanted` of `service`."""
        request = protos.message("grpc.health.v1.HealthCheckRequest")(service=service)
        value = protos.enum_value("grpc.health.v1.HealthCheckResponse.ServingStatus", wanted)
        seen = []
        for event in self.health.Watch(request, timeout=START_SECONDS, wait_for_ready=True):
            seen.append(event.status)
            if event.status == value:
                return
        raise AssertionError(f"health of '{service}' never became {wanted}: {seen}")

    def _read_port_file(self, folder_events):
        """Waits for the kernel to tell that the port file was moved to its place, complete."""
        ended = os.pidfd_open(self.process.pid)
        poll = select.poll()
        poll.register(folder_events, select.POLLIN)
        poll.register(ended, select.POLLIN)
        deadline = time.monotonic() + START_SECONDS
        try:
            while not os.path.exists(self.port_file):
                events = dict(poll.poll(max(0, deadline - time.monotonic()) * 1000))
                if folder_events in events:
                    os.read(folder_events, 4096)
                elif ended in events:
                    code = self.process.wait()
                    raise AssertionError(f"the server ended with {code} at its start\n{self.log()}")
                else:
                    raise AssertionError(f"the server told no ports in time\n{self.log()}")
        finally:
            os.close(ended)
        with open(self.port_file, encoding="ascii") as file:
            return json.load(file)

    def _wait_for_models(self):
        try:
            self.watch_health("", "SERVING")
        except Exception as error:
            raise AssertionError(f"the server did not get ready: {error}\n{self.log()}") from error

    def _clean_up(self):
        if self.channel is not None:
            self.channel.close()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def run_to_end(arguments, environment=None, timeout=START_SECONDS):
    """Runs `tandem` with arguments that make it end; its exit code, standard output and standard
    error.
    """
    done = subprocess.run(
        [build_path("tandem"), *arguments],
        env={**clean_environment(), **(environment or {})},
        capture_output=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()
