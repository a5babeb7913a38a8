"""A new server takes the ports over from a running one: under load no request is dropped, and a new
one that cannot serve changes nothing.
"""

import contextlib
import json
import os
import signal
import unittest
import urllib.request

import grpc
import harness
import numpy as np
from harness import protos
from harness.load import Load
from harness.recovery import wait_until, worker
from harness.repository import Repository
from harness.server import CPU_POOL, STOP_SECONDS, Server, run_to_end
from harness.tensors import infer_request

TIMEOUT = 60
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)
# Connections move within this time; a test has no minutes.
AGE = "--max-connection-age=1s"
HAND_OVERS = 20


class TakeOverTest(unittest.TestCase):
    def setUp(self):
        self.repository = self.enterContext(Repository())
        self.repository.synthetic("m", extra="dynamic_batching { }")
        self.servers = self.enterContext(contextlib.ExitStack())

    def start(self, *flags):
        return self.servers.enter_context(Server(self.repository.path, (CPU_POOL, AGE, *flags)))

    def take_over(self, old, *flags):
        """A new server on the ports of the old one, which has ended when this returns."""
        new = self.start("--take-over=" + old.port_file, *flags)
        self.assertEqual(new.ports["grpc"], old.ports["grpc"])
        self.assertEqual(old.process.wait(STOP_SECONDS), 0, old.log())
        return new

    def code(self, server):
        request = infer_request("m", {"INPUT0": ROW})
        return server.infer.ModelInfer.future(request, timeout=TIMEOUT).code()

    def test_twenty_servers_take_over_under_load_and_no_request_is_dropped(self):
        server = self.start()
        steady = Load(server.address, "m")
        fresh = Load(server.address, "m", clients=1, connection_each=True)
        with steady, fresh:
            for _ in range(HAND_OVERS):
                server = self.take_over(server)
                steady.wait_for_more(10)
                fresh.wait_for_more(10)
        answered = steady.answered + fresh.answered
        failures = steady.failures + fresh.failures
        print(
            f"{HAND_OVERS} hand-overs, {answered} requests ({fresh.answered} with a connection "
            f"each), {len(failures)} dropped"
        )
        self.assertEqual(failures, [])

    def test_a_third_server_takes_over_while_the_first_still_has_a_connection(self):
        self.repository.synthetic("slow", parameters={"alpha_us": 5_000_000})
        first = self.servers.enter_context(
            Server(self.repository.path, (CPU_POOL, "--max-connection-age=1h"))
        )
        self.assertEqual(self.code(first), grpc.StatusCode.OK)
        with Load(first.address, "m", connection_each=True) as fresh:
            second = self.start("--take-over=" + first.port_file)
            # Keeps the second one at its drain, in which it refuses what is new.
            channel = self.servers.enter_context(
                grpc.insecure_channel(
                    second.address, options=[("grpc.use_local_subchannel_pool", 1)]
                )
            )
            request = infer_request("slow", {"INPUT0": ROW})
            call = protos.infer_service(channel).ModelInfer.future(request, timeout=TIMEOUT)
            grpc.channel_ready_future(channel).result(TIMEOUT)
            third = self.start("--take-over=" + second.port_file)
            self.assertIsNone(first.process.poll())
            # The connection goes, which the harness's channels share, and so does the first server.
            for server in (first, second, third):
                server.channel.close()
            for old in (first, second):
                self.assertEqual(old.process.wait(STOP_SECONDS), 0, old.log())
            fresh.wait_for_more(20)
        self.assertEqual(fresh.failures, [])
        self.assertEqual(call.code(), grpc.StatusCode.OK)

    def test_http_and_metrics_move_too(self):
        server = self.start()
        new = self.take_over(server)
        url = f"http://127.0.0.1:{new.ports['http']}/v2/health/ready"
        with urllib.request.urlopen(url, timeout=TIMEOUT) as reply:
            self.assertEqual(reply.status, 200)
        url = f"http://127.0.0.1:{new.ports['metrics']}/metrics"
        with urllib.request.urlopen(url, timeout=TIMEOUT) as reply:
            self.assertIn("tandem_model_ready", reply.read().decode())

    def test_a_request_that_runs_in_the_old_server_is_answered(self):
        self.repository.synthetic("slow", parameters={"alpha_us": 3_000_000})
        server = self.start()
        call = server.infer.ModelInfer.future(infer_request("slow", {"INPUT0": ROW}), timeout=TIMEOUT)
        # Answered over another lane: the request before it has been handed over by then.
        self.assertEqual(self.code(server), grpc.StatusCode.OK)
        self.take_over(server)
        self.assertEqual(call.code(), grpc.StatusCode.OK)

    def refuse(self, *flags):
        """Standard error of a server that ends by itself, and its exit code."""
        code, _, told = run_to_end(
            ["serve", "--model-repository=" + self.repository.path, "--address=127.0.0.1", *flags],
            {"TANDEM_WORKER": harness.build_path("tandem-worker-plain")},
        )
        return code, told

    def test_a_server_none_of_whose_models_is_ready_leaves_the_ports_where_they_are(self):
        server = self.start()
        self.repository.write("m/config.pbtxt", b"no_such_field: 1")
        code, told = self.refuse("--take-over=" + server.port_file, CPU_POOL)
        self.assertEqual(code, 1)
        self.assertIn("none of the models is ready", told)
        self.assertEqual(self.code(server), grpc.StatusCode.OK)

    def test_a_file_that_is_no_running_servers_is_refused_before_anything_starts(self):
        server = self.start()
        with open(server.port_file, encoding="ascii") as file:
            ports = json.load(file)
        wrong = os.path.join(self.repository.path, "ports")
        for text in ("", "[]", json.dumps({**ports, "pid": os.getpid()})):
            with open(wrong, "w", encoding="ascii") as file:
                file.write(text)
            code, told = self.refuse("--take-over=" + wrong, CPU_POOL)
            self.assertEqual(code, 2, told)
            self.assertIn("--take-over", told)
        self.assertEqual(self.refuse("--take-over=" + wrong + ".not")[0], 2)
        self.assertEqual(self.code(server), grpc.StatusCode.OK)

    def test_without_take_over_a_port_that_was_shared_is_still_refused(self):
        new = self.take_over(self.start())
        code, told = self.refuse(f"--grpc-port={new.ports['grpc']}", CPU_POOL)
        self.assertEqual(code, 1)
        self.assertIn("is taken", told)
        self.assertEqual(self.code(new), grpc.StatusCode.OK)

    def test_a_new_server_that_dies_before_it_is_ready_changes_nothing(self):
        server = self.start()
        with Load(server.address, "m") as load:
            self.repository.synthetic("endless", parameters={"load_us": 600_000_000})
            new = Server(self.repository.path, (CPU_POOL, "--take-over=" + server.port_file))
            self.addCleanup(new._clean_up)
            new.spawn()
            new.wait_for_log("is ready: ")
            new.process.kill()
            new.process.wait()
            load.wait_for_more(20)
        self.assertEqual(load.failures, [])
        # And the old one ends at once when it is told to.
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.process.wait(STOP_SECONDS), 0)
        self.assertNotIn("taken over", server.log())

    def test_workers_of_the_new_server_are_its_own(self):
        server = self.start()
        before = worker(server).pid
        new = self.take_over(server)
        status = wait_until(new, lambda s: s.pools[0].workers[0].state == "ready", "a worker")
        self.assertNotEqual(status.pools[0].workers[0].pid, before)


if __name__ == "__main__":
    harness.main()
