"""Models that end their worker whenever they are loaded or run: left out or paused, and the pool's
others serve.
"""

import itertools
import os
import shutil
import signal
import unittest

import grpc
import harness
import numpy as np
from harness import protos
from harness.load import Load
from harness.recovery import kill, metric, wait_until, worker
from harness.repository import Repository
from harness.server import Server
from harness.tensors import infer_outputs, infer_request

TIMEOUT = 60
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)


def poison(number):
    return np.array([[222, number, 3, 4]], dtype=np.float32)


class CrashLoopTest(unittest.TestCase):
    def serve(self, **load_modes):
        repository = self.enterContext(Repository())
        repository.synthetic("a_good")
        repository.synthetic("z_good")
        repository.synthetic("deep", kinds=["KIND_GPU"])
        for name, mode in load_modes.items():
            repository.synthetic(name, parameters={"load_mode": mode})
        return self.enterContext(Server(repository.path))

    def ask(self, server, model, row=ROW):
        return server.infer.ModelInfer.future(
            infer_request(model, {"INPUT0": row}), timeout=TIMEOUT
        )

    def assert_echo(self, call):
        np.testing.assert_array_equal(infer_outputs(call.result())["OUTPUT0"], ROW)

    def wait_for_good(self, server, restarts):
        """Waits until the worker has been started so often and holds its good models."""
        return wait_until(
            server,
            lambda status: status.pools[0].workers[0].restarts == restarts
            and all(m.state == "READY" for m in status.models if m.name.endswith("good")),
            f"the good models are back after {restarts} restarts",
        )

    def test_a_model_that_crashes_at_load_is_left_out_and_the_others_serve(self):
        for mode in ("crash", "abort", "exit"):
            with self.subTest(mode):
                server = self.serve(m_bad=mode)
                self.wait_for_good(server, 2)
                for model in ("a_good", "z_good", "deep"):
                    self.assert_echo(self.ask(server, model))
                state, reason = server.index()["m_bad", "1"]
                self.assertEqual(state, "UNAVAILABLE")
                self.assertIn("left out", reason)
                error = self.ask(server, "m_bad").exception()
                self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)
                self.assertIn("left out", error.details())
                self.assertEqual(metric(server, "tandem_model_ready", model="m_bad"), 0)
                self.assertEqual(worker(server, "gpu").restarts, 0)

    def test_the_server_is_ready_when_the_good_models_are_and_not_before(self):
        server = self.serve(b_bad="crash", m_bad="exit")
        # The server has told that it is ready; nothing is waited for.
        request = protos.message("inference.ServerReadyRequest")()
        self.assertTrue(server.infer.ServerReady(request, timeout=TIMEOUT).ready)
        states = {name: state for (name, _), (state, _) in server.index().items()}
        self.assertEqual({states[name] for name in ("a_good", "z_good", "deep")}, {"READY"})
        self.assertEqual({states[name] for name in ("b_bad", "m_bad")}, {"UNAVAILABLE"})
        self.assertEqual(worker(server).restarts, 4)

    def test_a_model_that_crashes_at_load_takes_one_worker_of_its_pool_at_a_time(self):
        repository = self.enterContext(Repository())
        repository.synthetic("good")
        server = self.enterContext(
            Server(repository.path, flags=("--pool=cpu=device:cpu,processes:2,lanes:1",))
        )
        with Load(server.address, "good") as load:
            load.wait_for_more(10)
            repository.synthetic("late_bad", parameters={"load_mode": "crash"})
            server.process.send_signal(signal.SIGHUP)
            server.wait_for_log("model late_bad version 1: UNAVAILABLE")
            load.wait_for_more(10)
        self.assertEqual(load.failures, [])
        (pool,) = server.status().pools
        self.assertEqual(sum(w.restarts for w in pool.workers), 2)
        # One worker has never gone.
        self.assertEqual(sorted(w.restarts for w in pool.workers), [0, 2])

    def reload(self, server):
        """Has the repository read again; what tells from the log that this has come to its end."""
        told = "the model repository was read again"
        before = server.log().count(told)
        server.process.send_signal(signal.SIGHUP)
        return lambda log: log.count(told) > before

    def test_a_model_that_is_removed_amid_its_crash_loop_is_tried_no_more(self):
        repository = self.enterContext(Repository())
        repository.synthetic("good")
        flags = ("--pool=cpu=device:cpu,lanes:1",)
        server = self.enterContext(Server(repository.path, flags=flags))

        def wait_for_bad(restarts):
            """Waits until the worker has been started so often and has the bad model to load."""
            status = wait_until(
                server,
                lambda status: status.pools[0].workers[0].restarts == restarts
                and status.pools[0].workers[0].state == "ready"
                and any(m.name == "bad" for m in status.models),
                f"it loads after {restarts} restarts",
            )
            return status.pools[0].workers[0]

        # It hangs, and crashes when the test says so.
        repository.synthetic("bad", parameters={"load_mode": "hang"})
        self.reload(server)
        kill(wait_for_bad(restarts=0).pid, signal.SIGSEGV)
        wait_for_bad(restarts=1)
        shutil.rmtree(os.path.join(repository.path, "bad"))
        # The first reload has ended by then as well: nothing is left that it waits for.
        server.wait_for_log(self.reload(server))
        self.assertNotIn(("bad", "1"), server.index())
        # The load that hangs still is ended, for nobody wants it any more.
        self.wait_for_good(server, 2)
        self.assertIn("it still loaded a model that was removed", worker(server).last_exit)
        self.assert_echo(self.ask(server, "good"))

    def test_a_model_whose_load_takes_too_long_is_left_out_at_once(self):
        repository = self.enterContext(Repository())
        repository.synthetic("good")
        repository.synthetic("slow", parameters={"load_mode": "hang"})
        flags = ("--pool=cpu=device:cpu,lanes:1", "--load-timeout=300ms")
        server = self.enterContext(Server(repository.path, flags=flags))
        self.wait_for_good(server, 1)
        self.assert_echo(self.ask(server, "good"))
        state, reason = server.index()["slow", "1"]
        self.assertEqual(state, "UNAVAILABLE")
        self.assertIn(
            "its load did not end within the 300ms that --load-timeout allows, so it is left out",
            reason,
        )

    def test_a_model_whose_requests_crash_one_after_the_other_is_paused_and_the_others_serve(self):
        repository = self.enterContext(Repository())
        repository.synthetic("good")
        repository.synthetic("bad", parameters={"mode": "crash", "trigger": "poison"})
        server = self.enterContext(
            Server(repository.path, flags=("--pool=cpu=device:cpu,processes:2,lanes:2",))
        )
        with Load(server.address, "good") as load:
            # No two alike, so that the quarantine does not know them.
            for number in itertools.count():
                error = self.ask(server, "bad", poison(number)).exception()
                if error.code() == grpc.StatusCode.UNAVAILABLE:
                    break
                self.assertEqual(error.code(), grpc.StatusCode.INTERNAL, error)
                # One worker was at risk at a time.
                self.assert_echo(self.ask(server, "good"))
            self.assertIn("is paused for another", error.details())
            self.assertIn("grpc-retry-pushback-ms", dict(error.trailing_metadata()))
            server.wait_for_log("model bad version 1 is paused for 1 s")
            self.assertEqual(metric(server, "tandem_model_pauses_total", model="bad"), 1)
            # Its requests are taken again once one of them has been answered.
            wait_until(
                server,
                lambda _: self.ask(server, "bad").exception() is None,
                "the model is well again",
            )
            load.wait_for_more(10)
        self.assertEqual(load.failures, [])

    def test_two_of_them_cost_four_restarts(self):
        server = self.serve(b_bad="crash", m_bad="crash")
        self.wait_for_good(server, 4)
        self.assert_echo(self.ask(server, "z_good"))

    def test_a_worker_that_is_killed_later_comes_back_without_it(self):
        server = self.serve(m_bad="crash")
        self.wait_for_good(server, 2)
        kill(worker(server).pid)
        self.assert_echo(self.ask(server, "a_good"))
        self.wait_for_good(server, 3)


if __name__ == "__main__":
    harness.main()
