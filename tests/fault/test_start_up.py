"""A start that cannot succeed ends with one line; a model that cannot be served does not stop the
others.
"""

import os
import re
import signal
import socket
import subprocess
import tempfile
import unittest

import grpc
import harness
import numpy as np
from harness import build_path
from harness.repository import Repository, config
from harness.server import CPU_POOL, STOP_SECONDS, Server, run_to_end
from harness.tensors import infer_outputs, infer_request

TIMEOUT = 60
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)
FREE_PORTS = ["--address=127.0.0.1", "--grpc-port=0", "--http-port=0", "--metrics-port=0"]


class RefusedStartTest(unittest.TestCase):
    def setUp(self):
        self.repository = self.enterContext(Repository())
        self.repository.synthetic("light")

    def refused(self, flags, words, worker="tandem-worker-plain", repository=None):
        """Asserts that `tandem serve` ends with a code that is not 0 and one line that holds all
        `words`.
        """
        code, out, error = run_to_end(
            ["serve", "--model-repository=" + (repository or self.repository.path), *flags],
            environment={"TANDEM_WORKER": worker and build_path(worker)},
        )
        self.assertGreater(code, 0, error)
        lines = [line for line in (out + error).splitlines() if line.strip()]
        # What the log tells of a worker that could not serve may stand before it.
        worker = re.compile(r"^tandem-worker: | (error|warning) worker ")
        lines = [line for line in lines if not worker.search(line)]
        self.assertEqual(len(lines), 1, lines)
        for word in words:
            self.assertIn(word, lines[0])
        self.assertNotIn("light", lines[0], "a model was loaded before")

    def test_a_port_that_is_taken(self):
        for flag in ("grpc-port", "http-port", "metrics-port"):
            with self.subTest(flag), socket.socket() as taken:
                taken.bind(("127.0.0.1", 0))
                taken.listen()
                port = taken.getsockname()[1]
                flags = [f for f in FREE_PORTS if flag not in f]
                self.refused([*flags, f"--{flag}={port}", CPU_POOL], [str(port)])

    def test_an_address_that_is_not_this_machines(self):
        for address, words in (("192.0.2.1", ["no such address"]), ("nowhere.invalid", ["name"])):
            flags = [f for f in FREE_PORTS if "address" not in f]
            with self.subTest(address):
                self.refused([*flags, "--address=" + address, CPU_POOL], [address, *words])

    def test_a_port_file_that_cannot_be_written(self):
        with tempfile.TemporaryDirectory() as folder:
            for path in (folder, os.path.join(folder, "none", "ports")):
                with self.subTest(path):
                    self.refused([*FREE_PORTS, CPU_POOL, "--port-file=" + path], [path])
            self.assertEqual(os.listdir(folder), [])

    def test_a_state_file_that_cannot_be_written(self):
        with tempfile.TemporaryDirectory() as folder:
            for path in (folder, os.path.join(folder, "none", "state"), "/dev/null"):
                with self.subTest(path):
                    self.refused([*FREE_PORTS, CPU_POOL, "--state-file=" + path], [path])
            self.assertEqual(os.listdir(folder), [])

    def test_a_pool_that_says_something_twice_or_not_at_all(self):
        for pool, words in (
            ("a=lanes:1,lanes:2", ["lanes", "twice"]),
            ("a=cores:", ["cores", "missing"]),
            ("a=input_arena:1TiB", ["input_arena", "memory"]),
        ):
            with self.subTest(pool):
                self.refused([*FREE_PORTS, "--pool=" + pool], [pool, *words])

    def test_a_flag_that_does_not_exist(self):
        self.refused([*FREE_PORTS, "--no-such-flag"], ["--no-such-flag"])

    def test_a_value_that_is_no_port(self):
        self.refused(["--grpc-port=70000"], ["grpc-port", "70000", "65535"])

    def test_a_device_that_does_not_exist(self):
        self.refused([*FREE_PORTS, "--pool=a=device:tpu"], ["tpu", "cpu"])

    @unittest.skipUnless(
        os.path.exists(build_path("tandem-worker-cuda")), "this build has no worker for GPUs"
    )
    def test_a_gpu_that_is_not_there(self):
        self.refused([*FREE_PORTS, "--pool=a=device:gpu:63"], ["a", "GPU"])

    def test_a_pool_with_an_unknown_key(self):
        self.refused([*FREE_PORTS, "--pool=a=wheels:2"], ["wheels"])

    def test_two_pools_of_one_name(self):
        self.refused([*FREE_PORTS, "--pool=a=device:cpu", "--pool=a=device:cpu"], ["a"])

    def test_a_repository_that_is_not_there(self):
        self.refused([*FREE_PORTS, CPU_POOL], ["nowhere"], repository="nowhere")

    def test_a_worker_program_that_is_not_there(self):
        self.refused([*FREE_PORTS, CPU_POOL], ["no-such-worker"], worker="no-such-worker")

    def test_a_configuration_file_with_an_error_names_file_and_line(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "tandem.conf")
            with open(path, "w", encoding="ascii") as file:
                file.write("address: '127.0.0.1'\nno_such_field: 3\n")
            self.refused([*FREE_PORTS, "--config=" + path], ["tandem.conf:2", "no_such_field"])


class UnusableModelsTest(unittest.TestCase):
    """A repository full of broken models, and a good one."""

    @classmethod
    def setUpClass(cls):
        repository = cls.enterClassContext(Repository())
        repository.synthetic("good")
        repository.add("syntax", 'name: "syntax"\nplatform: "synthetic"\nmax_batch_size: many\n')
        repository.add("field", 'name: "field"\nplatform: "synthetic"\nno_such_field: 1\n')
        repository.add("platform", config("platform", platform="tensorflow_graphdef"))
        repository.add("misnamed", config("another"))
        repository.add("no_versions", config("no_versions", platform="pytorch_libtorch"), [])
        repository.synthetic("dims", inputs=[("INPUT0", "TYPE_FP32", [-7])])
        repository.synthetic("load_fails", parameters={"load_mode": "fail"})
        repository.add("no_file", config("no_file", platform="pytorch_libtorch"))
        repository.write("no_models/README", b"not a model")
        repository.write("has space/1/model.pt", b"")
        repository.write("red\x1b[31m/1/model.pt", b"")
        os.symlink("circle", os.path.join(repository.path, "circle"))
        repository.write("pipe/1/model.pt", b"")
        os.mkfifo(os.path.join(repository.path, "pipe", "config.pbtxt"))
        cls.server = cls.enterClassContext(Server(repository.path))
        cls.models = cls.server.index()

    def reason(self, name):
        """Why a model is not ready, which has to be listed."""
        found = [(s, r) for (model, _), (s, r) in self.models.items() if model == name]
        self.assertEqual(len(found), 1, (name, self.models))
        state, reason = found[0]
        self.assertEqual(state, "UNAVAILABLE")
        return reason

    def test_the_others_serve(self):
        self.assertEqual(self.models["good", "1"], ("READY", ""))
        reply = self.server.infer.ModelInfer(
            infer_request("good", {"INPUT0": ROW}), timeout=TIMEOUT
        )
        np.testing.assert_array_equal(infer_outputs(reply)["OUTPUT0"], ROW)

    def test_a_bad_config_is_told_with_file_line_and_field(self):
        self.assertIn("config.pbtxt:3", self.reason("syntax"))
        self.assertIn("max_batch_size", self.reason("syntax"))
        self.assertIn("config.pbtxt:3", self.reason("field"))
        self.assertIn("no_such_field", self.reason("field"))

    def test_values_that_cannot_be_are_told_with_their_field(self):
        self.assertIn("tensorflow_graphdef", self.reason("platform"))
        self.assertIn("another", self.reason("misnamed"))
        self.assertIn("-7", self.reason("dims"))

    def test_a_model_that_does_not_load_is_told_with_the_reason(self):
        self.assertTrue(self.reason("load_fails"))
        self.assertIn("model.pt", self.reason("no_file"))

    def test_what_is_no_file_is_told_in_one_line_of_the_log(self):
        self.assertIn("circle", self.reason("circle"))
        self.assertIn("not a regular file", self.reason("pipe"))
        for name in ("circle", "pipe"):
            self.told_once(name)

    def told_once(self, name):
        told = [line for line in self.server.log().splitlines() if f"model {name}:" in line]
        self.assertEqual(len(told), 1, told)
        self.assertIn(" warning ", told[0])

    def test_a_folder_whose_name_is_no_models_is_told_by_it(self):
        for name in ("has space", "red\\x1b[31m"):
            self.assertIn("letters, digits", self.reason(name))
            self.told_once(name)

    def test_a_model_of_which_nothing_could_be_read_has_no_version(self):
        self.assertIn(("syntax", ""), self.models)
        (status,) = (m for m in self.server.status().models if m.name == "syntax")
        self.assertEqual(status.version, "")
        call = self.server.infer.ModelInfer.future(
            infer_request("syntax", {"INPUT0": ROW}, version="3"), timeout=TIMEOUT
        )
        self.assertEqual(call.exception().code(), grpc.StatusCode.UNAVAILABLE)
        self.assertNotIn("version 0", call.exception().details())

    def test_a_model_without_versions_is_told(self):
        self.assertIn("version", self.reason("no_versions"))

    def test_a_request_to_such_a_model_is_answered_with_the_reason(self):
        call = self.server.infer.ModelInfer.future(
            infer_request("syntax", {"INPUT0": ROW}), timeout=TIMEOUT
        )
        self.assertEqual(call.exception().code(), grpc.StatusCode.UNAVAILABLE)
        self.assertIn("syntax", call.exception().details())

    def test_health_says_not_serving_of_such_a_model(self):
        self.server.watch_health("syntax", "NOT_SERVING")
        self.server.watch_health("good", "SERVING")


GATED_WORKER = """\
#!/bin/sh
# The first that is started runs; another one waits until the gate is written to.
if ! mkdir "{folder}/first" 2>/dev/null; then read -r word < "{folder}/gate"; fi
exec "{worker}" "$@"
"""


HANGING_WORKER = """\
#!/bin/sh
# Says nothing to the server.
echo up > "{folder}/up"
exec sleep 3600
"""


FRAIL_WORKER = """\
#!/bin/sh
# The first two that are started end by a signal.
if mkdir "{folder}/first" 2>/dev/null; then kill -SEGV $$; fi
if mkdir "{folder}/second" 2>/dev/null; then kill -KILL $$; fi
exec "{worker}" "$@"
"""


class FrailWorkerTest(unittest.TestCase):
    def test_signals_before_a_worker_is_ready_do_not_end_the_start(self):
        repository = self.enterContext(Repository())
        repository.synthetic("light")
        folder = self.enterContext(tempfile.TemporaryDirectory())
        program = os.path.join(folder, "worker")
        with open(program, "w", encoding="ascii") as file:
            file.write(FRAIL_WORKER.format(folder=folder, worker=build_path("tandem-worker-plain")))
        os.chmod(program, 0o700)
        server = Server(repository.path, ["--pool=cpu=device:cpu,lanes:1"], worker=None)
        server.environment["TANDEM_WORKER"] = program
        with server:
            reply = server.infer.ModelInfer(
                infer_request("light", {"INPUT0": ROW}), timeout=TIMEOUT
            )
            np.testing.assert_array_equal(infer_outputs(reply)["OUTPUT0"], ROW)
            for name in ("SIGSEGV", "SIGKILL"):
                self.assertIn(f"({name}); it is started again", server.log())
            (pool,) = server.status().pools
            self.assertEqual(pool.workers[0].restarts, 2)


class SlowWorkerTest(unittest.TestCase):
    def test_a_worker_loads_while_another_one_starts(self):
        repository = self.enterContext(Repository())
        repository.synthetic("light")
        folder = self.enterContext(tempfile.TemporaryDirectory())
        program, gate = os.path.join(folder, "worker"), os.path.join(folder, "gate")
        os.mkfifo(gate)
        with open(program, "w", encoding="ascii") as file:
            file.write(GATED_WORKER.format(folder=folder, worker=build_path("tandem-worker-plain")))
        os.chmod(program, 0o700)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        flags = ["--pool=cpu=device:cpu,processes:2,lanes:1", f"--grpc-port={port}"]
        server = Server(repository.path, flags, worker=None)
        self.addCleanup(server._clean_up)
        server.environment["TANDEM_WORKER"] = program
        server.spawn()
        server.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        server.watch_health("light", "SERVING")
        # Not before all have started once: one that cannot ends the server.
        server.watch_health("", "NOT_SERVING")
        self.assertFalse(os.path.exists(server.port_file))
        # Read and write: waits for no reader.
        opened = os.open(gate, os.O_RDWR)
        self.addCleanup(os.close, opened)
        os.write(opened, b"go\n")
        server.watch_health("", "SERVING")
        server.stop()

    def test_a_signal_ends_a_server_whose_worker_hangs_before_it_is_ready(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        repository = self.enterContext(Repository())
        repository.synthetic("light")
        program = os.path.join(folder, "worker")
        os.mkfifo(os.path.join(folder, "up"))
        with open(program, "w", encoding="ascii") as file:
            file.write(HANGING_WORKER.format(folder=folder))
        os.chmod(program, 0o700)
        server = Server(repository.path, [CPU_POOL], worker=None)
        self.addCleanup(server._clean_up)
        server.environment["TANDEM_WORKER"] = program
        server.spawn()
        # Waits for the worker.
        with open(os.path.join(folder, "up"), encoding="ascii") as file:
            self.assertEqual(file.read(), "up\n")
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.process.wait(STOP_SECONDS), 0, server.log())


class ProgramTest(unittest.TestCase):
    def test_the_server_needs_no_libtorch(self):
        done = subprocess.run(
            ["ldd", build_path("tandem")], capture_output=True, text=True, check=True
        )
        for library in ("libtorch", "libc10", "libcuda"):
            self.assertNotIn(library, done.stdout)

    def test_version_and_help_end_with_0(self):
        for arguments in (["version"], ["--help"], ["serve", "--help"]):
            code, out, _ = run_to_end(arguments)
            self.assertEqual(code, 0, arguments)
            self.assertTrue(out)


if __name__ == "__main__":
    harness.main()
