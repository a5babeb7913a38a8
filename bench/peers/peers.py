"""How each server is started, asked and loaded. All have the same models (make_models.py)."""

import base64
import contextlib
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
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

    def __init__(self, models, work):
        self.models = models
        self.work = os.path.join(work, self.name.lower().replace(" ", "_"))
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
        np.testing.assert_allclose(np.ravel(answer), expected, rtol=1e-3, atol=1e-4)

    @staticmethod
    def _stop(process):
        """Ends the session that it was started in."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
        process.wait()


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
        command = [
            build_path("tandem"),
            "bench",
            model,
            f"--target=127.0.0.1:{self.port}",
            f"--concurrency={clients}",
            f"--seconds={seconds}",
            "--json",
        ]
        reply = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
        return json.loads(reply)["levels"][0]


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
        request = urllib.request.Request(
            self.url(model), body, {"Content-Type": self.content_type}
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            return np.frombuffer(self.decode(reply.read()), np.float32)

    def load(self, model, clients, seconds):
        body = os.path.join(self.work, model + ".body")
        with open(body, "wb") as file:
            file.write(self.encode(read(os.path.join(self.models, model + ".input"))))
        environment = {**os.environ, "BODY": body, "CONTENT_TYPE": self.content_type}
        command = ["wrk", "-t1", f"-c{clients}", "--timeout", "30s", "-s"]
        command.append(os.path.join(HERE, "wrk.lua"))
        # As `tandem bench` does by itself.
        for duration in (1, max(round(seconds), 1)):
            done = subprocess.run(
                [*command, f"-d{duration}s", self.url(model)],
                env=environment,
                stdout=subprocess.PIPE,
                check=True,
            )
        return json.loads(done.stdout.splitlines()[-1])


class Environment:
    """Where install.sh has put a peer."""

    def __init__(self, name):
        found = glob.glob(os.path.join(os.environ["TANDEM_CACHE"], "peers", name + "-*", ".complete"))
        if not found:
            raise RuntimeError(f"{name} is not installed")
        self.path = os.path.dirname(max(found, key=os.path.getmtime))
        self.python = os.path.join(self.path, "bin", "python")

    def packages(self):
        (path,) = glob.glob(os.path.join(self.path, "lib", "python3*", "site-packages"))
        return path


class Tandem(GrpcPeer):
    name = "Tandem"
    settings = "2 lanes of 1 thread; small: batches of up to 16, resnet18: none"

    def command(self):
        return [
            build_path("tandem"),
            "serve",
            "--model-repository=" + os.path.join(self.models, "repository"),
            "--address=127.0.0.1",
            f"--grpc-port={self.port}",
            "--http-port=0",
            "--metrics-port=0",
            "--pool=cpu=device:cpu,lanes:2,threads:1",
        ]


class Triton(GrpcPeer):
    name = "Triton"
    settings = (
        "its own program with its Python backend (its LibTorch backend is not on PyPI), 2 processes"
        " for each model, batching by what waits"
    )

    def __init__(self, models, work):
        super().__init__(models, work)
        self.packages = Environment("triton").packages()
        program = os.path.join(self.packages, "pytriton", "tritonserver")
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        stub = os.path.join(program, "python_backend_stubs", version, "triton_python_backend_stub")
        backend = os.path.join(self.work, "backends", "python")
        shutil.copytree(os.path.join(program, "backends", "python"), backend, dirs_exist_ok=True)
        shutil.copy(stub, backend)
        os.chmod(os.path.join(backend, "triton_python_backend_stub"), 0o755)
        for model, shape in SHAPES.items():
            folder = os.path.join(self.work, "repository", model)
            os.makedirs(os.path.join(folder, "1"), exist_ok=True)
            shutil.copy(
                os.path.join(HERE, "servers", "triton_model.py"),
                os.path.join(folder, "1", "model.py"),
            )
            outputs = 10 if model == "small" else 1000
            with open(os.path.join(folder, "config.pbtxt"), "w", encoding="ascii") as file:
                file.write(
                    f'name: "{model}" backend: "python" max_batch_size: 16\n'
                    f'input {{ name: "INPUT" data_type: TYPE_FP32 dims: {list(shape[1:])} }}\n'
                    f'output {{ name: "OUTPUT" data_type: TYPE_FP32 dims: [ {outputs} ] }}\n'
                    "instance_group { count: 2 kind: KIND_CPU }\n"
                )

    def command(self):
        project = os.path.dirname(os.path.dirname(np.__file__))
        self.environment.update(
            LD_LIBRARY_PATH=os.path.join(self.packages, "nvidia_pytriton.libs")
            + f":{sys.base_prefix}/lib",
            PYTHONHOME=sys.base_prefix,
            PEER_PACKAGES=":".join([os.path.join(HERE, "servers"), self.packages, project]),
        )
        return [
            os.path.join(self.packages, "pytriton", "tritonserver", "bin", "tritonserver"),
            "--model-repository=" + os.path.join(self.work, "repository"),
            "--backend-directory=" + os.path.join(self.work, "backends"),
            "--allow-http=false",
            "--allow-metrics=false",
            "--grpc-address=127.0.0.1",
            f"--grpc-port={self.port}",
        ]


class Mosec(HttpPeer):
    name = "mosec"
    settings = "2 workers for each model, batches of up to 16 and 4, 1 ms to fill them; raw bytes"

    def command(self):
        return [
            Environment("mosec").python,
            os.path.join(HERE, "servers", "mosec_server.py"),
            *("--address", "127.0.0.1", "--port", str(self.port), "--log-level", "warning"),
        ]


class LitServe(HttpPeer):
    name = "LitServe"
    settings = "2 workers for each model, batches of up to 16 and 4, 1 ms to fill them; base64 in JSON"
    content_type = "application/json"

    def command(self):
        server = os.path.join(HERE, "servers", "litserve_server.py")
        return [Environment("litserve").python, server, str(self.port)]

    def encode(self, data):
        return json.dumps({"data": base64.b64encode(data).decode()}).encode()

    def decode(self, data):
        return base64.b64decode(json.loads(data)["data"])


class BentoML(HttpPeer):
    name = "BentoML"
    settings = "2 workers that hold both models; raw bytes by an ASGI route, no batches"
    prefix = "/raw/"

    def command(self):
        self.environment.update(BENTOML_DO_NOT_TRACK="True", BENTOML_HOME=self.work)
        return [
            Environment("bentoml").python,
            *("-m", "bentoml", "serve", "bentoml_service:Nets"),
            *("--working-dir", os.path.join(HERE, "servers")),
            *("--host", "127.0.0.1", "--port", str(self.port)),
        ]


ALL = (Tandem, Triton, Mosec, LitServe, BentoML)
