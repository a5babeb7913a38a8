"""mosec: two workers for each model; raw bytes in and out."""

import net
import numpy as np
import torch
from mosec import Runtime, Server, Worker


class Net(Worker):
    name = ""

    def __init__(self):
        super().__init__()
        self.model = net.load(self.name)

    def deserialize(self, data):
        return np.frombuffer(data, np.float32).reshape(net.SHAPES[self.name])

    def serialize(self, data):
        return data.tobytes()

    def forward(self, data):
        with torch.inference_mode():
            return list(self.model(torch.from_numpy(np.stack(data))).numpy())


class Small(Net):
    name = "small"


class Resnet18(Net):
    name = "resnet18"


if __name__ == "__main__":
    server = Server()
    # A wait of 0 is slower than 1 ms, and larger batches leave the second worker idle.
    server.register_runtime(
        {
            "/small": [Runtime(Small, num=2, max_batch_size=16, max_wait_time=1)],
            "/resnet18": [Runtime(Resnet18, num=2, max_batch_size=4, max_wait_time=1)],
        }
    )
    server.run()
