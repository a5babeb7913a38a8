"""MLServer: what its process runs for the small model, and its two workers for resnet18."""

import net
import numpy as np
import torch
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Net(MLModel):
    async def load(self):
        self.model = net.load(self.name)
        return True

    async def predict(self, payload):
        rows = NumpyCodec.decode_input(payload.inputs[0])
        with torch.inference_mode():
            answer = self.model(torch.from_numpy(np.ascontiguousarray(rows))).numpy()
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output("OUTPUT", answer)]
        )
