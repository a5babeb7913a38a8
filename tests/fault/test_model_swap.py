"""Models that change while the server runs: new ones are loaded beside the old, no request is refused,
and what cannot be loaded changes nothing.
"""

import os
import shutil
import signal
import tempfile
import unittest

import grpc
import harness
import numpy as np
from harness import protos
from harness.load import Load
from harness.recovery import footprint, kill, wait_for_footprint, wait_until, worker
from harness.repository import Repository, config
from harness.server import CPU_POOL, Server
from harness.tensors import infer_outputs, infer_request

TIMEOUT = 60
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)
SWAPS = 100


class ModelSwapTest(unittest.TestCase):
    def setUp(self):
        self.repository = self.enterContext(Repository())
        self.repository.synthetic("m", extra="dynamic_batching { }")
        self.repository.synthetic("other")

    def start(self, *flags):
        return self.enterContext(Server(self.repository.path, flags=(CPU_POOL, *flags)))

    def path(self, *parts):
        return os.path.join(self.repository.path, *parts)

    def reload(self, server):
        """Has the repository read again; returns when everything new has been tried."""
        told = "the model repository was read again"
        before = server.log().count(told)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_log(lambda log: log.count(told) > before)

    def configure(self, model, **settings):
        text = config(model, **{"extra": "dynamic_batching { }", **settings})
        # Moved into its place: nobody reads one half of it.
        with open(self.path(model, "config.new"), "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(self.path(model, "config.new"), self.path(model, "config.pbtxt"))

    def ask(self, server, model="m", version=""):
        return server.infer.ModelInfer.future(
            infer_request(model, {"INPUT0": ROW}, version=version), timeout=TIMEOUT
        )

    def code(self, server, model="m", version=""):
        return self.ask(server, model, version).code()

    def test_a_hundred_versions_take_over_under_load_and_no_request_is_refused(self):
        server = self.start()
        with Load(server.address, "m") as load:
            held = footprint(server)
            for version in range(2, SWAPS + 2):
                os.rename(self.path("m", str(version - 1)), self.path("m", str(version)))
                self.reload(server)
                self.assertEqual(server.index()["m", str(version)], ("READY", ""))
                # Those that were accepted before may still run on the old one.
                wait_until(
                    server,
                    lambda status: [m.version for m in status.models if m.name == "m"] == [str(version)],
                    "the old version has gone",
                )
                load.wait_for_more(4)
        print(f"{SWAPS} version swaps, {load.answered} requests, {len(load.failures)} dropped")
        self.assertEqual(load.failures, [])
        self.assertEqual(self.ask(server).result().model_version, str(SWAPS + 1))
        self.assertEqual(self.code(server, version="1"), grpc.StatusCode.NOT_FOUND)
        wait_for_footprint(server, held)

    def test_a_version_whose_files_have_changed_is_replaced_under_its_number(self):
        server = self.start()
        with Load(server.address, "m") as load:
            self.configure("m", max_batch_size=4)
            self.reload(server)
            load.wait_for_more(10)
        self.assertEqual(load.failures, [])
        self.assertEqual(server.index()["m", "1"], ("READY", ""))
        request = protos.message("inference.ModelConfigRequest")(name="m")
        reply = server.infer.ModelConfig(request, timeout=TIMEOUT)
        self.assertEqual(reply.config.max_batch_size, 4)

    def assert_stays(self, server, load, reason):
        self.reload(server)
        load.wait_for_more(10)
        state, told = server.index()["m", "1"]
        self.assertEqual(state, "READY")
        self.assertIn(reason, told)
        self.assertEqual(load.failures, [])

    def test_what_cannot_be_loaded_changes_nothing_and_is_told(self):
        server = self.start()
        with Load(server.address, "m") as load:
            self.configure("m", parameters={"load_mode": "fail"})
            self.assert_stays(server, load, "the model failed to load as it was told")
            # Left as it is, it is tried again, and fails again.
            self.assert_stays(server, load, "the model failed to load as it was told")
            self.configure("m", extra="no_such_field: 1")
            self.assert_stays(server, load, "")
            state, reason = server.index()["m", ""]
            self.assertEqual(state, "UNAVAILABLE")
            self.assertIn("no_such_field", reason)
            self.configure("m", max_batch_size=2)
            self.reload(server)
            self.assertEqual(server.index()["m", "1"], ("READY", ""))
            self.assertNotIn(("m", ""), server.index())
        self.assertEqual(load.failures, [])

    def test_a_crash_in_the_load_of_a_new_version_leaves_the_old_one_serving(self):
        server = self.start()
        with Load(server.address, "m") as load:
            self.configure("m", parameters={"load_mode": "crash"})
            self.assert_stays(server, load, "again and again, so it is left out")
        self.assertEqual(load.failures, [])
        self.assertEqual(self.code(server, "other"), grpc.StatusCode.OK)

    def test_a_corrupt_new_version_is_listed_and_the_old_one_serves(self):
        server = self.start()
        self.configure("m", parameters={"load_mode": "echo"}, extra="version_policy { all { } }")
        self.repository.write("m/2/model.pt", b"")
        self.reload(server)
        self.assertEqual(server.index()["m", "2"], ("READY", ""))
        # Back to the latest alone, of another platform, of which version 2 is no file.
        self.configure("m", platform="pytorch_libtorch")
        self.reload(server)
        state, reason = server.index()["m", "2"]
        self.assertEqual(state, "READY")
        self.assertIn("cannot be served", reason)
        self.assertEqual(self.code(server), grpc.StatusCode.OK)

    def test_a_model_that_is_removed_ends_its_accepted_requests_first(self):
        self.repository.synthetic("slow", parameters={"alpha_us": 1_000_000})
        server = self.start()
        call = self.ask(server, "slow")
        # Answered over another lane: the request before it has been handed over by then.
        self.assertEqual(self.code(server), grpc.StatusCode.OK)
        shutil.rmtree(self.path("slow"))
        self.reload(server)
        self.assertEqual(self.code(server, "slow"), grpc.StatusCode.NOT_FOUND)
        self.assertFalse(call.done())
        np.testing.assert_array_equal(infer_outputs(call.result())["OUTPUT0"], ROW)
        self.assertNotIn(("slow", "1"), server.index())
        self.assertEqual(self.code(server), grpc.StatusCode.OK)

    def test_a_repository_without_any_model_is_taken_for_a_disk_that_is_not_there(self):
        server = self.start()
        away = self.enterContext(tempfile.TemporaryDirectory())
        for model in ("m", "other"):
            shutil.move(self.path(model), away)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_log("has no model folder at all")
        self.assertEqual(self.code(server), grpc.StatusCode.OK)
        # One that is left is a repository.
        shutil.move(os.path.join(away, "other"), self.repository.path)
        self.reload(server)
        self.assertEqual(self.code(server), grpc.StatusCode.NOT_FOUND)
        self.assertEqual(self.code(server, "other"), grpc.StatusCode.OK)

    def test_a_model_that_is_new_is_served_and_the_server_stays_ready_meanwhile(self):
        server = self.start()
        self.repository.synthetic("late", parameters={"load_us": 300_000})
        server.process.send_signal(signal.SIGHUP)
        seen = set()

        def is_there(status):
            states = {m.name: m.state for m in status.models}
            seen.add(states.get("late"))
            if states.get("late") == "LOADING":
                request = protos.message("inference.ServerReadyRequest")()
                self.assertTrue(server.infer.ServerReady(request, timeout=TIMEOUT).ready)
            return states.get("late") == "READY"

        wait_until(server, is_there, "the new model is ready")
        self.assertIn("LOADING", seen)
        self.assertEqual(self.code(server, "late"), grpc.StatusCode.OK)

    def change(self, server, change, model, **parameters):
        """The status of RepositoryModelLoad or …Unload."""
        request = protos.message(f"inference.RepositoryModel{change}Request")(model_name=model)
        for name, value in parameters.items():
            request.parameters[name].string_param = value
        method = getattr(server.infer, f"RepositoryModel{change}")
        return method.future(request, timeout=TIMEOUT)

    def test_clients_may_not_change_models_unless_the_operator_allows_it(self):
        server = self.start()
        for change in ("Load", "Unload"):
            error = self.change(server, change, "m").exception()
            self.assertEqual(error.code(), grpc.StatusCode.UNIMPLEMENTED)
            self.assertIn("--model-control=explicit", error.details())
        self.assertEqual(self.code(server), grpc.StatusCode.OK)

    def test_clients_load_and_unload_where_they_are_allowed_to(self):
        server = self.start("--model-control=explicit")
        self.assertEqual(self.change(server, "Unload", "m").code(), grpc.StatusCode.OK)
        self.assertEqual(self.code(server), grpc.StatusCode.NOT_FOUND)
        self.assertEqual(self.change(server, "Unload", "m").code(), grpc.StatusCode.NOT_FOUND)
        # What a client has unloaded does not come back by itself, and may be found.
        self.reload(server)
        self.assertEqual(self.code(server), grpc.StatusCode.NOT_FOUND)
        self.assertEqual(self.index(server)["m"], ("", "UNAVAILABLE"))
        self.assertNotIn("m", self.index(server, ready=True))
        self.assertEqual(self.change(server, "Load", "m").code(), grpc.StatusCode.OK)
        self.assertEqual(self.index(server)["m"], ("1", "READY"))
        self.assertEqual(self.code(server), grpc.StatusCode.OK)
        self.assertEqual(self.change(server, "Load", "nobody").code(), grpc.StatusCode.NOT_FOUND)
        override = self.change(server, "Load", "m", config="{}")
        self.assertEqual(override.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.configure("m", parameters={"load_mode": "fail"})
        error = self.change(server, "Load", "m").exception()
        self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertIn("failed to load as it was told", error.details())
        self.assertEqual(self.code(server), grpc.StatusCode.OK)

    def index(self, server, **request):
        """Version and state of each model that the server tells of."""
        reply = server.infer.RepositoryIndex(
            protos.message("inference.RepositoryIndexRequest")(**request), timeout=TIMEOUT
        )
        return {model.name: (model.version, model.state) for model in reply.models}

    def test_a_load_tells_why_the_new_version_failed_and_not_that_the_old_one_stays(self):
        server = self.start("--model-control=explicit")
        os.mkdir(self.path("m", "2"))
        self.configure("m", parameters={"load_mode": "fail"})
        error = self.change(server, "Load", "m").exception()
        self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertIn('model "m" version 2: ', error.details())
        self.assertIn("failed to load as it was told", error.details())
        self.assertEqual(self.code(server), grpc.StatusCode.OK)

    def test_a_load_tells_why_a_version_is_not_replaced_before_what_stays_for_it(self):
        os.mkdir(self.path("m", "2"))
        self.configure("m", extra="version_policy { all { } }")
        server = self.start("--model-control=explicit")
        # The policy leaves version 1 out, which stays since version 2 cannot be loaded anew.
        self.configure("m", parameters={"load_mode": "fail"})
        error = self.change(server, "Load", "m").exception()
        self.assertIn('model "m" version 2: its files have changed and cannot be served', error.details())
        self.assertEqual(self.code(server, version="1"), grpc.StatusCode.OK)

    def test_a_client_unloads_what_is_still_being_loaded(self):
        server = self.start("--model-control=explicit")
        self.repository.synthetic("late", parameters={"load_mode": "hang"})
        load = self.change(server, "Load", "late")
        wait_until(server, lambda status: "late" in {m.name for m in status.models}, "it loads")
        self.assertEqual(self.change(server, "Unload", "late").code(), grpc.StatusCode.OK)
        self.assertEqual(load.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertIn('"late" was taken away before it was loaded', load.details())
        # Nor does another change wait for it.
        self.assertEqual(self.change(server, "Load", "other").code(), grpc.StatusCode.OK)
        kill(worker(server).pid)


if __name__ == "__main__":
    harness.main()
