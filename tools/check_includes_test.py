#!/usr/bin/env python3
"""Tests of check_includes.py: each rule refuses what it is there to refuse."""

import unittest

from check_includes import problem


class IncludeTableTest(unittest.TestCase):
    def assert_allowed(self, source, header, quote='"'):
        self.assertIsNone(problem(source, quote, header))

    def assert_refused(self, source, header, quote='"'):
        self.assertIsNotNone(problem(source, quote, header))

    def test_folders_see_only_those_below_them(self):
        self.assert_allowed("router/router.h", "core/tensor.h")
        self.assert_refused("core/tensor.h", "router/router.h")
        self.assert_refused("router/router.cc", "backends/pool/pool.h")
        self.assert_refused("backends/worker/lane.h", "backends/pool/pool.h")

    def test_only_main_wires_the_pools_in(self):
        self.assert_allowed("server/main.cc", "backends/pool/pool.h")
        self.assert_refused("server/predict_call.cc", "backends/pool/pool.h")

    def test_the_router_knows_no_transport(self):
        self.assert_refused("router/router.cc", "grpcpp/grpcpp.h", "<")
        self.assert_refused("router/router.cc", "inference.pb.h")

    def test_libtorch_stands_in_its_own_sources_only(self):
        self.assert_allowed("backends/worker/torch_executor.cc", "torch/script.h", "<")
        self.assert_refused("backends/worker/lane.cc", "torch/script.h", "<")
        self.assert_refused("server/main.cc", "c10/core/Device.h", "<")

    def test_libtorch_sources_see_no_library_that_it_shadows(self):
        self.assert_refused("backends/worker/torch_executor.cc", "worker.pb.h")
        self.assert_refused("backends/worker/torch_executor.cc", "spdlog/spdlog.h", "<")

    def test_headers_are_named_from_the_top(self):
        self.assert_refused("server/main.cc", "service.h")
        self.assert_refused("server/main.cc", "core/tensor.h", "<")

    def test_the_standard_library_is_open_to_all(self):
        self.assert_allowed("core/tensor.h", "vector", "<")
        self.assert_allowed("backends/ipc/doorbell.cc", "linux/futex.h", "<")


if __name__ == "__main__":
    unittest.main()
