"""KServe: one process, as its own; resnet18 on two threads, so that both cores compute and the small model
does not wait. Its own start binds every address, so its gRPC server is put together here."""

import asyncio
import concurrent.futures
import logging
import sys

import grpc
import kserve
import net
import torch
import uvloop
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor, LoggingInterceptor
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.model_repository_extension import ModelRepositoryExtension

OUTPUTS = {"small": 10, "resnet18": 1000}


class Net(kserve.Model):
    def __init__(self, name, threads):
        super().__init__(name)
        self.model = net.load(name)
        # No threads: on the loop itself, which is faster for what is short.
        self.threads = threads
        self.ready = True

    async def get_input_types(self):
        return [{"name": "INPUT", "datatype": "FP32", "shape": [-1, *net.SHAPES[self.name]]}]

    async def get_output_types(self):
        return [{"name": "OUTPUT", "datatype": "FP32", "shape": [-1, OUTPUTS[self.name]]}]

    def compute(self, rows):
        with torch.inference_mode():
            return self.model(torch.from_numpy(rows.copy())).numpy()

    async def predict(self, payload, headers=None, response_headers=None):
        rows = payload.inputs[0].as_numpy()
        if self.threads:
            answer = await asyncio.get_running_loop().run_in_executor(
                self.threads, self.compute, rows
            )
        else:
            answer = self.compute(rows)
        output = kserve.InferOutput("OUTPUT", list(answer.shape), "FP32")
        output.set_data_from_numpy(answer, binary_data=True)
        return kserve.InferResponse(payload.id or "", self.name, [output])


async def serve(port):
    models = kserve.model_repository.ModelRepository()
    models.update(Net("small", None))
    threads = concurrent.futures.ThreadPoolExecutor(
        2, initializer=torch.set_num_threads, initargs=(1,)
    )
    models.update(Net("resnet18", threads))
    servicer = InferenceServicer(DataPlane(models), ModelRepositoryExtension(models))
    server = grpc.aio.server(interceptors=(LoggingInterceptor(), ExceptionToStatusInterceptor()))
    grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    kserve.logging.logger.setLevel(logging.WARNING)
    uvloop.run(serve(int(sys.argv[1])))
