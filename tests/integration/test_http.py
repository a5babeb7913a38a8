"""The HTTP endpoints: health for probes, and the protocol's JSON for small requests."""

import contextlib
import json
import select
import socket
import unittest
import urllib.error
import urllib.request

import harness
from harness import protos
from harness.repository import Repository
from harness.server import Server

TIMEOUT = 30
ONE_LANE = "--pool=cpu=device:cpu,lanes:1,express:0"


class HttpTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        repository = cls.enterClassContext(Repository())
        repository.synthetic("echo", versions=[2])
        repository.add("bad", "no_such_field: 1")
        cls.server = cls.enterClassContext(Server(repository.path))

    def call(self, path, body=None, form=False):
        """Status and JSON of a call; a body makes it a POST."""
        kind = "x-www-form-urlencoded" if form else "json"
        data = None if body is None else body.encode()
        url = f"http://127.0.0.1:{self.server.ports['http']}{path}"
        request = urllib.request.Request(url, data, {"Content-Type": "application/" + kind})
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as reply:
                text, status = reply.read(), reply.status
        except urllib.error.HTTPError as error:
            text, status = error.read(), error.code
        return status, json.loads(text) if text else None

    def infer(self, model, shape, data, datatype="FP32"):
        entry = {"name": "INPUT0", "datatype": datatype, "shape": shape, "data": data}
        return self.call(f"/v2/models/{model}/infer", json.dumps({"id": "7", "inputs": [entry]}))

    def test_health(self):
        self.assertEqual(self.call("/v2/health/live")[0], 200)
        self.assertEqual(self.call("/v2/health/ready")[0], 200)
        self.assertEqual(self.call("/v2/models/echo/ready")[0], 200)
        self.assertGreaterEqual(self.call("/v2/models/bad/ready")[0], 400)
        self.assertEqual(self.call("/v2/models/nobody/ready")[0], 404)

    def test_clients_that_stop_in_the_middle_of_their_requests_delay_nobody(self):
        with contextlib.ExitStack() as stack:
            clients = []
            for number in range(200):
                address = ("127.0.0.1", self.server.ports["http"])
                clients.append(stack.enter_context(socket.create_connection(address, TIMEOUT)))
                if number % 2:
                    clients[-1].sendall(b"POST /v2/models/echo/infer HTTP/1.1\r\nContent-Le")
            self.assertEqual(self.call("/v2/health/live")[0], 200)
            closed, _, _ = select.select(clients, [], [], 0)
            # They are closed after a second, and the answer waited for none of that.
            self.assertLess(len(closed), 100)

    def test_metadata(self):
        status, server = self.call("/v2")
        self.assertEqual((status, server["name"]), (200, "tandem"))
        metadata = self.server.infer.ServerMetadata(
            protos.message("inference.ServerMetadataRequest")(), timeout=TIMEOUT
        )
        # Those that gRPC has are not offered here.
        self.assertEqual(server["extensions"], [])
        self.assertIn("model_configuration", metadata.extensions)
        self.assertEqual(server["version"], metadata.version)
        status, model = self.call("/v2/models/bad")
        self.assertEqual(status, 503)
        self.assertIn("no_such_field", model["error"])
        status, model = self.call("/v2/models/echo")
        self.assertEqual((status, model["versions"]), (200, ["2"]))
        self.assertEqual(model["inputs"][0]["shape"], [-1, 4])

    def test_infer(self):
        for data in ([1, 2, 3, 4], [[1, 2, 3, 4]]):
            status, answer = self.infer("echo", [1, 4], data)
            self.assertEqual(status, 200, answer)
            self.assertEqual(answer["id"], "7")
            self.assertEqual(answer["outputs"][0]["data"], [1, 2, 3, 4])

    def test_bad_input_is_refused_with_a_sentence(self):
        cases = [
            (self.infer("nobody", [1, 4], [1, 2, 3, 4]), 404, "nobody"),
            (self.infer("echo", [1, 5], [1, 2, 3, 4, 5]), 400, "INPUT0"),
            (self.infer("echo", [1, 4], [1, 2, 3]), 400, "INPUT0"),
            (self.infer("echo", [1, 4], [1, 2, 3, 4], "INT32"), 400, "INPUT0"),
            (self.infer("echo", [1, 2**62], []), 400, "INPUT0"),
            (self.infer("echo", [1, 4], [1, 2, 3, 4], "NOPE"), 400, 'unknown datatype "NOPE"'),
            (
                self.infer("echo", [1, 4], [1, 2, "c", 4]),
                400,
                'model "echo": input "INPUT0": its data holds "c": expected FP32',
            ),
            (self.infer("echo", [1, 4], [[1, 2, 3], [4]]), 400, "nested otherwise than its shape"),
            (self.infer("echo", [2, 2], [[1, 2], 3, 4]), 400, "nested otherwise than its shape"),
            (self.infer("echo", [1, 4], [1, [2, 3], 4]), 400, "nested otherwise than its shape"),
            (self.infer("echo", [], [[1, 2, 3, 4]]), 400, "nested otherwise than its shape"),
            (self.call("/v2/models/echo/infer", 9000 * " ", form=True), 413, "as application/json"),
            (self.call("/v2/models/echo/config"), 404, 'there is no GET of "/v2/models/echo/config"'),
        ]
        for (status, answer), expected, word in cases:
            self.assertEqual(status, expected, answer)
            self.assertIn(word, answer["error"])

    def answers_to(self, request):
        """All that a connection brings on which one request is sent and, as its body, another."""
        address = ("127.0.0.1", self.server.ports["http"])
        with socket.create_connection(address, TIMEOUT) as client:
            client.sendall(request + b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while part := client.recv(65536):
                    answer += part
        return answer

    def test_nothing_is_read_behind_a_request_whose_end_is_unclear(self):
        infer, live = "POST /v2/models/echo/infer", "GET /v2/health/live"
        for line, headers, status, word in (
            (infer, "Content-Length: 2\r\nContent-Length: 3", 400, "tells its length twice"),
            (infer, "Content-Length: 2\r\nTransfer-Encoding: chunked", 400, "its length twice"),
            (infer, "Content-Length: 0x1f", 400, 'Content-Length is "0x1f"'),
            (infer, "Content-Length: 5, 5", 400, 'Content-Length is "5, 5"'),
            (infer, "Content-Length: -5", 400, 'Content-Length is "-5"'),
            (infer, "Content-Length: 99999999999999999999", 400, "Content-Length is"),
            (infer, "Content-Length: 999999999", 413, "a body of 16777216; gRPC has all methods"),
            (infer, "Content-Length: x\r\nRange: bytes=0-,0-", 400, "expected a number of bytes"),
            (infer, "Accept: */*", 400, '"POST" tells no length'),
            (infer, "Content-Length : 45", 400, 'a header has the name "Content-Length "'),
            (infer, "Content-Encoding: gzip\r\nContent-Length: 45", 415, "send it as it is"),
            (live, "A: " + 20_000 * "a", 413, "16384 bytes of headers"),
            (infer, "Transfer-Encoding: gzip, chunked", 400, "expected chunked"),
            (infer, "Transfer-Encoding: chunked\r\n\r\nZZ", 400, "cannot be read"),
            ("POST /nowhere", "Content-Length: 0x5", 400, 'Content-Length is "0x5"'),
            (live, "Content-Length: 45", 400, '"GET" has no body'),
            (live, "Transfer-Encoding: chunked", 400, '"GET" has no body'),
            ("OPTIONS *", "Content-Length: 45", 400, '"OPTIONS" has no body'),
            ("nonsense", "Host: b", 400, "cannot be read"),
        ):
            with self.subTest(line=line, headers=headers):
                head = f"{line} HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n"
                answer = self.answers_to(head.encode())
                self.assertEqual(answer.count(b"HTTP/1.1 "), 1, answer)
                self.assertTrue(answer.startswith(b"HTTP/1.1 %d" % status), answer)
                self.assertIn(word, json.loads(answer.partition(b"\r\n\r\n")[2])["error"])

    def test_ranges_are_passed_over(self):
        address = ("127.0.0.1", self.server.ports["metrics"])
        answers = []
        for header in (b"", b"Range: bytes=0-5\r\n", b"Range: bytes=" + 2000 * b"0-," + b"0-\r\n"):
            with socket.create_connection(address, TIMEOUT) as client:
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n" + header + b"\r\n")
                answer = b""
                while part := client.recv(65536):
                    answer += part
            answers.append(answer)
        for answer in answers:
            self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer[:200])
            self.assertAlmostEqual(len(answer), len(answers[0]), delta=2000)

    def test_no_more_is_read_of_a_request_than_it_may_have(self):
        head = b"HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        part = b"100000\r\n" + 0x100000 * b"x" + b"\r\n"
        for port, path, word in (
            ("http", b"/v2/models/echo/infer", b"a body of 16777216"),
            ("metrics", b"/metrics", b"has no body here"),
        ):
            with self.subTest(port=port):
                address = ("127.0.0.1", self.server.ports[port])
                with socket.create_connection(address, TIMEOUT) as client:
                    with self.assertRaises(OSError):
                        client.sendall(b"POST " + path + b" " + head)
                        for _ in range(1000):
                            client.sendall(part)
                    with contextlib.suppress(ConnectionResetError):
                        self.assertIn(word, client.recv(65536))

    def test_who_hangs_up_has_cancelled_the_request(self):
        with contextlib.ExitStack() as stack:
            repository = stack.enter_context(Repository())
            repository.synthetic("slow", max_batch_size=1, parameters={"alpha_us": 3_000_000})
            server = stack.enter_context(Server(repository.path, [ONE_LANE]))
            entry = {"name": "INPUT0", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
            body = json.dumps({"inputs": [entry]})
            request = (
                "POST /v2/models/slow/infer HTTP/1.1\r\nHost: a\r\nContent-Type: application/json"
                f"\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            ).encode()

            def wait_for(condition):
                with server.news() as wait:
                    while not condition(server.status().models[0]):
                        wait()

            clients = []
            for _ in range(4):
                address = ("127.0.0.1", server.ports["http"])
                clients.append(stack.enter_context(socket.create_connection(address, TIMEOUT)))
                clients[-1].sendall(request)
            # The others run, or have been given to the lane.
            wait_for(lambda model: model.queued > 0)
            for client in clients:
                client.close()
            wait_for(lambda model: model.requests == 4)
            self.assertGreater(server.status().models[0].failures, 0)

    def test_what_is_no_json_is_refused(self):
        bodies = ["", "{", "[]", "7", '{"inputs": 7}', '{"inputs": [7]}', "[" * 100_000]
        for body in bodies:
            status, answer = self.call("/v2/models/echo/infer", body)
            self.assertEqual(status, 400, (body[:20], answer))
            self.assertTrue(answer["error"])
        self.assertEqual(self.infer("echo", [1, 4], [1, 2, 3, 4])[0], 200)


if __name__ == "__main__":
    harness.main()
