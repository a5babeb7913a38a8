"""Triton's own Python backend: two processes for each model, each of which joins what it is given."""

import os
import sys

# The backend's processes pass PYTHONPATH over.
sys.path[:0] = os.environ["PEER_PACKAGES"].split(":")
# pylint: disable=wrong-import-position
import net
import torch
import triton_python_backend_utils as triton


class TritonPythonModel:
    def initialize(self, args):
        self.model = net.load(args["model_name"])

    def execute(self, requests):
        inputs = [
            torch.from_numpy(triton.get_input_tensor_by_name(request, "INPUT").as_numpy())
            for request in requests
        ]
        with torch.inference_mode():
            output = self.model(inputs[0] if len(inputs) == 1 else torch.cat(inputs)).numpy()
        responses, row = [], 0
        for rows in inputs:
            part = output[row : row + rows.shape[0]]
            responses.append(triton.InferenceResponse([triton.Tensor("OUTPUT", part)]))
            row += rows.shape[0]
        return responses
