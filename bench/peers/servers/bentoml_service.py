"""BentoML: two workers that hold both models; raw bytes by an ASGI route, its fastest way."""

import bentoml
import net
import numpy as np
import torch
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

MODELS = {}


def route(name):
    async def answer(request):
        data = np.frombuffer(await request.body(), np.float32)
        with torch.inference_mode():
            rows = torch.from_numpy(data.reshape(1, *net.SHAPES[name]).copy())
            output = MODELS[name](rows).numpy()
        return Response(output.tobytes(), media_type="application/octet-stream")

    return Route("/" + name, answer, methods=["POST"])


@bentoml.asgi_app(Starlette(routes=[route(name) for name in net.SHAPES]), path="/raw")
@bentoml.service(
    workers=2,
    traffic={"timeout": 60},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Nets:
    def __init__(self):
        for name in net.SHAPES:
            MODELS[name] = net.load(name)

    @bentoml.api
    def names(self) -> list[str]:
        return sorted(MODELS)
