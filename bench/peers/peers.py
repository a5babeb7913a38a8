"""How each server is started. All have the same models (make_models.py)."""

import base64
import json
import os
import secrets
import shutil
import sys
import zipfile

import numpy as np

from harness import build_path
from peer import HERE, SHAPES, Environment, GrpcPeer, HttpPeer, free_port


class Tandem(GrpcPeer):
    name = "Tandem"
    settings = "2 lanes of 1 thread, batches of up to 16 and 4"
    repository = "repository"

    def command(self):
        return [
            build_path("tandem"),
            "serve",
            "--model-repository=" + os.path.join(self.models, self.repository),
            "--address=127.0.0.1",
            f"--grpc-port={self.port}",
            "--http-port=0",
            "--metrics-port=0",
            "--pool=cpu=device:cpu,lanes:2,threads:1",
        ]


class TandemCompiled(Tandem):
    name = "Tandem, compiled"
    settings = (
        "as Tandem, resnet18 compiled by AOTInductor for batches of 1 and of 4, FP32, its convolutions in"
        " the way that was measured to be fastest (tandem export --winograd)"
    )
    repository = "compiled-fp32"


class TandemBfloat16(Tandem):
    name = "Tandem, compiled, bf16"
    settings = "the same in bfloat16"
    repository = "compiled-bf16"
    tolerance = 2e-2


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
    settings = (
        "2 workers for each model, batches of up to 16 and 4, 1 ms to fill them; base64 in JSON"
    )
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


class KServe(GrpcPeer):
    name = "KServe"
    settings = (
        "its gRPC server in one process, without its HTTP one; small on the loop, resnet18 on 2"
        " threads, no batches"
    )

    def command(self):
        server = os.path.join(HERE, "servers", "kserve_server.py")
        return [Environment("kserve").python, server, str(self.port)]


class MLServer(GrpcPeer):
    name = "MLServer"
    settings = (
        "small in the server's process without batches, resnet18 in 2 workers, batches of up to 4,"
        " 0.5 ms to fill them; without metrics"
    )

    def __init__(self, models, work):
        super().__init__(models, work)
        self._write(
            "settings.json",
            {
                "host": "127.0.0.1",
                "grpc_port": self.port,
                "http_port": free_port(),
                "metrics_port": free_port(),
                "metrics_endpoint": None,
                "parallel_workers": 2,
                "debug": False,
            },
        )
        # It warns of a model's own number of workers, yet heeds a 0: the server's process runs it.
        for model, workers, batch, outputs in (("small", 0, 1, 10), ("resnet18", None, 4, 1000)):
            self._write(
                model + "/model-settings.json",
                {
                    "name": model,
                    "implementation": "mlserver_model.Net",
                    "parallel_workers": workers,
                    "max_batch_size": batch,
                    "max_batch_time": 0.0005,
                    "inputs": [
                        {"name": "INPUT", "datatype": "FP32", "shape": [-1, *SHAPES[model][1:]]}
                    ],
                    "outputs": [{"name": "OUTPUT", "datatype": "FP32", "shape": [-1, outputs]}],
                },
            )

    def _write(self, name, settings):
        path = os.path.join(self.work, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as file:
            json.dump(settings, file)

    def command(self):
        return [os.path.join(Environment("mlserver").path, "bin", "mlserver"), "start", self.work]


class RayServe(HttpPeer):
    name = "Ray Serve"
    settings = (
        "2 replicas of each model, batches of up to 16 and 4 of what waits, optimised for throughput;"
        " raw bytes"
    )

    def command(self):
        self.environment.update(
            RAY_USAGE_STATS_ENABLED="0",
            # Despite its name it decides here too: without clusters, ports are on loopback.
            RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",
            RAY_AUTH_TOKEN=secrets.token_hex(32),
            RAY_SERVE_THROUGHPUT_OPTIMIZED="1",
            PEER_WORK=self.work,
        )
        server = os.path.join(HERE, "servers", "ray_server.py")
        return [Environment("ray").python, server, str(self.port)]


class TorchServe(HttpPeer):
    name = "TorchServe"
    settings = "2 workers for each model, batches of up to 16 and 4, 1 ms to fill them; raw bytes"
    prefix = "/predictions/"

    def __init__(self, models, work):
        super().__init__(models, work)
        addresses = {
            name + "_address": f"http://127.0.0.1:{port}"
            for name, port in (
                ("inference", self.port),
                ("management", free_port()),
                ("metrics", free_port()),
            )
        }
        served = {}
        for model, batch in (("small", 16), ("resnet18", 4)):
            self._archive(model)
            served[model] = {
                "1.0": {
                    "defaultVersion": True,
                    "marName": model + ".mar",
                    "minWorkers": 2,
                    "maxWorkers": 2,
                    "batchSize": batch,
                    # 0 acts as 100 ms.
                    "maxBatchDelay": 1,
                    "responseTimeout": 60,
                }
            }
        properties = {
            **addresses,
            "grpc_inference_address": "127.0.0.1",
            "grpc_inference_port": free_port(),
            "grpc_management_address": "127.0.0.1",
            "grpc_management_port": free_port(),
            "disable_token_authorization": "true",
            "disable_system_metrics": "true",
            "job_queue_size": 1000,
            "load_models": "small.mar,resnet18.mar",
            "models": json.dumps(served),
        }
        self.properties = os.path.join(self.work, "config.properties")
        with open(self.properties, "w", encoding="ascii") as file:
            file.writelines(f"{name}={value}\n" for name, value in properties.items())

    def _archive(self, model):
        """Writes what it takes a model from: the handler loads the model itself."""
        handler = "torchserve_handler.py"
        manifest = {
            "runtime": "python",
            "model": {"modelName": model, "modelVersion": "1.0", "handler": handler},
        }
        with zipfile.ZipFile(os.path.join(self.work, model + ".mar"), "w") as archive:
            archive.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
            archive.write(os.path.join(HERE, "servers", handler), handler)

    def command(self):
        # It holds a file there by which it finds itself running.
        self.environment.update(TMPDIR=self.work, TEMP=self.work)
        return [
            Environment("torchserve").python,
            *("-m", "ts.model_server", "--start", "--foreground", "--no-config-snapshots"),
            *("--disable-token-auth", "--model-store", self.work, "--ts-config", self.properties),
        ]


OURS = (Tandem, TandemCompiled, TandemBfloat16)
ALL = (*OURS, Triton, KServe, MLServer, Mosec, LitServe, BentoML, RayServe, TorchServe)
