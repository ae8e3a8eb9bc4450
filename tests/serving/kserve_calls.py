"""What KServe's own client gets from a server, as JSON on standard output; run where `kserve` is installed.

Its arguments are the address of HTTP, that of gRPC, and the requests' values as JSON.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from typing import Any


async def main(http: str, address: str, values: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    kserve: Any = importlib.import_module("kserve")

    def request(*, binary: bool) -> Any:
        numbers, strings = np.array(values["numbers"]), np.array(values["strings"], dtype=object)
        inputs = [
            kserve.InferInput("numbers", list(numbers.shape), "FP64"),
            kserve.InferInput("strings", list(strings.shape), "BYTES"),
        ]
        inputs[0].set_data_from_numpy(numbers, binary_data=binary)
        inputs[1].set_data_from_numpy(strings, binary_data=binary)
        parameters = {"binary_data_output": True} if binary else {}
        return kserve.InferRequest(model_name="sold", infer_inputs=inputs, request_id="7", parameters=parameters)

    def told(response: Any) -> dict[str, Any]:
        outputs = {output.name: output.as_numpy() for output in response.outputs}
        texts = [each.decode() if isinstance(each, bytes) else each for each in outputs["prediction"].tolist()]
        named = {"id": response.id, "model": response.model_name, "version": response.model_version}
        return {**named, "prediction": texts, "probabilities": outputs["probabilities"].tolist()}

    async def asked(call: Any) -> str:
        try:
            await call
        except Exception as error:  # noqa: BLE001 - what it raises is what is told
            return f"{type(error).__name__}: {error}"
        return "answered"

    found: dict[str, Any] = {}
    async with kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2")) as client:
        found["rest_ready"] = [
            await client.is_server_live(http),
            await client.is_server_ready(http),
            await client.is_model_ready(http, "sold"),
            await client.is_model_ready(http, "nobody"),
        ]
        found["rest_json"] = told(await client.infer(http, request(binary=False), model_name="sold"))
        found["rest_binary"] = told(await client.infer(http, request(binary=True), model_name="sold"))
        found["rest_refused"] = await asked(client.infer(http, request(binary=False), model_name="nobody"))
    async with kserve.InferenceGRPCClient(address) as client:
        found["grpc_ready"] = [
            await client.is_server_live(),
            await client.is_server_ready(),
            await client.is_model_ready("sold"),
        ]
        found["grpc_typed"] = told(await client.infer(request(binary=False)))
        found["grpc_raw"] = told(await client.infer(request(binary=True)))
        found["grpc_refused"] = await asked(client.is_model_ready("nobody"))
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))))
