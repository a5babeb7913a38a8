"""TorchServe: what its two workers for each model run; raw bytes in and out."""

import net
import numpy as np
import torch


class Net:
    def initialize(self, context):
        self.name = context.manifest["model"]["modelName"]
        self.model = net.load(self.name)

    def handle(self, data, _):
        rows = [np.frombuffer(one["body"], np.float32) for one in data]
        with torch.inference_mode():
            stacked = torch.from_numpy(np.stack(rows).reshape(-1, *net.SHAPES[self.name]))
            return [row.tobytes() for row in self.model(stacked).numpy()]
