"""What a replica of Ray Serve's runs: batches of what waits."""

import net
import numpy as np
import torch
from ray import serve
from ray.serve._private import replica
from starlette.responses import Response


def add_port_on_loopback(server, _):
    return server.add_insecure_port("127.0.0.1:0")


# Each replica has a port for the others, which no setting keeps off other machines' reach.
replica.add_port_to_grpc_server = add_port_on_loopback


class Net:
    def __init__(self):
        self.model = net.load(self.name)

    def compute(self, rows):
        with torch.inference_mode():
            return list(self.model(torch.from_numpy(np.stack(rows))).numpy())

    async def __call__(self, request):
        data = np.frombuffer(await request.body(), np.float32)
        answer = await self.batch(data.reshape(net.SHAPES[self.name]))
        return Response(answer.tobytes(), media_type="application/octet-stream")


OPTIONS = {
    "num_replicas": 2,
    "max_ongoing_requests": 64,
    # All four start on two cores.
    "ray_actor_options": {"num_cpus": 0.4},
}


@serve.deployment(**OPTIONS)
class Small(Net):
    name = "small"

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0.0)
    async def batch(self, rows):
        return self.compute(rows)


@serve.deployment(**OPTIONS)
class Resnet18(Net):
    name = "resnet18"

    @serve.batch(max_batch_size=4, batch_wait_timeout_s=0.0)
    async def batch(self, rows):
        return self.compute(rows)


MODELS = {"small": Small, "resnet18": Resnet18}
