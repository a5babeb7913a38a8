"""LitServe: two workers for each model; base64 in JSON, its own way of carrying bytes."""

import base64
import sys

import litserve
import net
import numpy as np
import torch


class Net(litserve.LitAPI):
    def __init__(self, name, **settings):
        super().__init__(api_path="/" + name, **settings)
        self.name = name

    def setup(self, device):
        self.model = net.load(self.name)

    def decode_request(self, request):
        data = np.frombuffer(base64.b64decode(request["data"]), np.float32)
        return data.reshape(net.SHAPES[self.name])

    def batch(self, inputs):
        return np.stack(inputs)

    def unbatch(self, output):
        return list(output)

    def predict(self, x):
        with torch.inference_mode():
            return self.model(torch.from_numpy(x)).numpy()

    def encode_response(self, output):
        return {"data": base64.b64encode(output.tobytes()).decode()}


if __name__ == "__main__":
    # A timeout of 0 has it look for requests without end.
    nets = [
        Net("small", max_batch_size=16, batch_timeout=0.001),
        Net("resnet18", max_batch_size=4, batch_timeout=0.001),
    ]
    server = litserve.LitServer(nets, accelerator="cpu", workers_per_device=2, timeout=60)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        generate_client_file=False,
        num_api_servers=1,
        log_level="warning",
    )
