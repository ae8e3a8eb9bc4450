"""A model behind a server that people use: `serving_peer.py SERVER MODEL.onnx PORT`, in its own environment."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

try:
    import litserve
except ImportError:  # this is the environment of another
    litserve = None


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def with_fastapi(path, port):
    """A typed body, a plain function, uvicorn with uvloop and httptools."""
    import uvicorn
    from fastapi import FastAPI
    from pydantic import BaseModel

    class Rows(BaseModel):
        rows: list[list[float]]

    app, model = FastAPI(), session(path)

    @app.post("/predict")
    async def predict(body: Rows):
        (answers,) = model.run(["prediction"], {"numbers": np.array(body.rows)})
        return {"predictions": answers.tolist()}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


def with_litserve(path, port):
    """With batches of up to 32 and a window of 2 ms, as its documentation shows."""
    api = BatchedApi(max_batch_size=32, batch_timeout=0.002)
    api.path = path
    litserve.LitServer(api, accelerator="cpu").run(host="127.0.0.1", port=port, generate_client_file=False)


class BatchedApi(object if litserve is None else litserve.LitAPI):
    """What LitServe calls in its worker process."""

    def setup(self, device):
        self.model = session(self.path)

    def decode_request(self, request):
        return np.array(request["rows"][0])

    def batch(self, inputs):
        return np.stack(inputs)

    def predict(self, values):
        return self.model.run(["prediction"], {"numbers": values})[0]

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return {"predictions": [float(output)]}


def with_mlserver(path, port):
    """A model class of its own, as for any runtime that it has none for; batches of up to 32 within 2 ms."""
    from mlserver.cli.main import main as command

    folder = Path(path).with_suffix(".mlserver")
    folder.mkdir(exist_ok=True)
    settings = {
        "http_port": port,
        "grpc_port": port + 1,
        "metrics_port": port + 2,
        "parallel_workers": 0,
        "debug": False,
    }
    model = {
        "name": "model",
        "implementation": "served.Served",
        "parameters": {"uri": path},
        "max_batch_size": 32,
        "max_batch_time": 0.002,
    }
    (folder / "settings.json").write_text(json.dumps({"host": "127.0.0.1", **settings}))
    (folder / "model-settings.json").write_text(json.dumps(model))
    (folder / "served.py").write_text(
        f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse
from serving_peer import session

class Served(MLModel):
    async def load(self):
        self.session = session(self._settings.parameters.uri)
        return True

    async def predict(self, payload):
        values = NumpyCodec.decode_input(payload.inputs[0])
        (answers,) = self.session.run(["prediction"], {{"numbers": values}})
        outputs = [NumpyCodec.encode_output("prediction", answers.reshape(-1, 1))]
        return InferenceResponse(model_name=self.name, outputs=outputs)
"""
    )
    sys.argv = ["mlserver", "start", str(folder)]
    command()


def with_bentoml(path, port):
    """A service with one API of an array, as its documentation shows; one worker."""
    from bentoml_cli.cli import cli

    folder = Path(path).with_suffix(".bentoml")
    folder.mkdir(exist_ok=True)
    (folder / "served.py").write_text(
        f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import bentoml
import numpy as np
from serving_peer import session

@bentoml.service(workers=1)
class Served:
    def __init__(self):
        self.session = session({str(path)!r})

    @bentoml.api
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.session.run(["prediction"], {{"numbers": rows.astype(np.float64)}})[0]
"""
    )
    sys.argv = ["bentoml", "serve", "served:Served", "--working-dir", str(folder), "--port", str(port)]
    cli()


SERVERS = {"bentoml": with_bentoml, "fastapi": with_fastapi, "litserve": with_litserve, "mlserver": with_mlserver}

if __name__ == "__main__":
    SERVERS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
