"""Ray Serve: two replicas of each model; raw bytes in and out."""

import os
import sys
import threading

import ray
import ray_model
from ray import serve

if __name__ == "__main__":
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        logging_level="warning",
        object_store_memory=200 << 20,
        _temp_dir=os.environ["PEER_WORK"],
    )
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(sys.argv[1])},
        logging_config={"log_level": "WARNING", "enable_access_log": False},
    )
    for name, model in ray_model.MODELS.items():
        serve.run(model.bind(), name=name, route_prefix="/" + name)
    threading.Event().wait()
