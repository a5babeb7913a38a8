"""What a worker's memory is after versions of a TorchScript model have come and gone; and what a file
does that is corrupt, cut off, or replaced while it is served.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

import harness
from harness import build_path, has_torch, source_path
from harness.load import Load
from harness.processes import resident_bytes
from harness.recovery import kill, wait_until, worker
from harness.repository import Repository, config
from harness.server import CPU_POOL, Server

ROUNDS = 20
MEBIBYTES = 64
TOLD = "the model repository was read again"


@unittest.skipUnless(os.path.exists(build_path("tandem-worker")), "this build has no LibTorch")
@unittest.skipUnless(has_torch(), "Python's torch is not installed")
class ModelMemoryTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.file = os.path.join(folder, "model.pt")
        maker = source_path("tests/fault/make_swapped_model.py")
        subprocess.run([sys.executable, maker, cls.file, str(MEBIBYTES)], check=True)

    def setUp(self):
        self.repository = self.enterContext(Repository())
        text = config("m", platform="pytorch_libtorch", extra="dynamic_batching { }")
        self.repository.add("m", text, versions=(1,), files={"model.pt": self.file})
        self.server = self.enterContext(
            Server(self.repository.path, flags=(CPU_POOL,), worker="tandem-worker")
        )

    def path(self, *parts):
        return os.path.join(self.repository.path, *parts)

    def reload(self):
        before = self.server.log().count(TOLD)
        self.server.process.send_signal(signal.SIGHUP)
        self.server.wait_for_log(lambda log: log.count(TOLD) > before)

    def swap(self, version):
        os.rename(self.path("m", str(version - 1)), self.path("m", str(version)))
        self.reload()

        def has_gone(status):
            return [m.version for m in status.models if m.name == "m"] == [str(version)]

        wait_until(self.server, has_gone, "the old version has gone")

    def fence(self, number):
        """Returns when the worker has done all that it was asked to before: models are loaded and
        unloaded in their order.
        """
        self.repository.synthetic(f"fence_{number}")
        self.reload()
        self.assertEqual(self.server.index()[f"fence_{number}", "1"], ("READY", ""))

    def test_memory_comes_back_after_each_of_many_rounds(self):
        pid = worker(self.server).pid
        resident = []
        with Load(self.server.address, "m") as load:
            for version in range(2, ROUNDS + 2):
                self.swap(version)
                load.wait_for_more(20)
                self.fence(version)
                resident.append(resident_bytes(pid))
        first, last = resident[0], resident[-1]
        print(
            f"{ROUNDS} rounds of a model of {MEBIBYTES} MiB: {first / 2**20:.1f} MiB after the first, "
            f"{last / 2**20:.1f} MiB after the last ({last / first - 1:+.1%}), "
            f"{min(resident) / 2**20:.1f} to {max(resident) / 2**20:.1f} MiB between; "
            f"{load.answered} requests, {len(load.failures)} dropped"
        )
        self.assertEqual(load.failures, [])
        self.assertEqual(worker(self.server).pid, pid)
        self.assertLessEqual(last, first * 1.05)

    def assert_stays(self, load, version="1"):
        self.reload()
        load.wait_for_more(20)
        state, reason = self.server.index()["m", version]
        self.assertEqual(load.failures, [])
        return state, reason

    def test_a_file_that_is_cut_off_or_corrupt_leaves_the_old_version_serving(self):
        with Load(self.server.address, "m") as load:
            os.mkdir(self.path("m", "2"))
            with open(self.file, "rb") as file:
                whole = file.read()
            for number, content in enumerate((whole[: len(whole) // 2], b"nonsense", b"")):
                with open(self.path("m", "2", "model.pt"), "wb") as file:
                    file.write(content)
                state, reason = self.assert_stays(load, "2")
                self.assertEqual((state, bool(reason)), ("UNAVAILABLE", True), number)
                self.assertEqual(self.server.index()["m", "1"][0], "READY")
            shutil.copy(self.file, self.path("m", "2", "model.pt"))
            self.assertEqual(self.assert_stays(load, "2"), ("READY", ""))
            load.wait_for_more(20)
        self.assertEqual(load.versions, {"1", "2"})

    def test_a_file_that_is_overwritten_while_it_is_served_changes_nothing(self):
        with Load(self.server.address, "m") as load:
            with open(self.path("m", "1", "model.pt"), "r+b") as file:
                file.truncate(1000)
            load.wait_for_more(20)
            state, reason = self.assert_stays(load)
            self.assertEqual(state, "READY")
            self.assertIn("cannot be served, so it stays as it was", reason)

    def test_a_worker_that_is_started_again_has_the_files_that_it_had(self):
        with Load(self.server.address, "m") as load:
            # Another file has the name, and the folder goes.
            os.rename(self.path("m", "1"), self.path("m", "gone"))
            with open(self.path("m", "gone", "new"), "wb") as file:
                file.write(b"nonsense")
            os.replace(self.path("m", "gone", "new"), self.path("m", "gone", "model.pt"))
            self.kill_worker()
            load.wait_for_more(20)
            self.assertEqual(self.server.index()["m", "1"], ("READY", ""))
            self.assertEqual(load.failures, [])

    def test_a_file_that_was_overwritten_is_not_loaded_in_place_of_what_it_was(self):
        with open(self.path("m", "1", "model.pt"), "r+b") as file:
            file.truncate(1000)
        self.kill_worker()

        def is_left_out(status):
            return [m.state for m in status.models if m.name == "m"] == ["UNAVAILABLE"]

        wait_until(self.server, is_left_out, "the model is left out")
        self.assertIn("has been written to since", self.server.index()["m", "1"][1])
        shutil.copy(self.file, self.path("m", "1", "model.pt"))
        self.reload()
        self.assertEqual(self.server.index()["m", "1"], ("READY", ""))

    def kill_worker(self):
        pid = worker(self.server).pid
        scratch = os.path.join(tempfile.gettempdir(), f"tandem-worker-{pid}")
        self.assertTrue(os.path.isdir(scratch))
        kill(pid)
        wait_until(
            self.server,
            lambda status: status.pools[0].workers[0].pid not in (0, pid)
            and status.pools[0].workers[0].state == "ready",
            "the worker is back",
        )
        # Its temporary files have gone with it.
        self.assertFalse(os.path.exists(scratch))


if __name__ == "__main__":
    harness.main()
