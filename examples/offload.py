"""Run the head of a model here, its tail on a worker over HTTP, and print the worker's answer.

Example: python examples/offload.py litter block_9_add street.jpg http://127.0.0.1:8080
"""

# ruff: noqa: T201
from __future__ import annotations

import http.client
import sys
import urllib.error
import urllib.request
from pathlib import Path

from headwater.codec import Codec, encode_tensor
from headwater.errors import HeadwaterError
from headwater.messages import Offload, encode
from models.bundle import Bundle
from models.engine import Engine
from models.errors import ModelError
from models.pictures import decode_to_fit, to_input

ANSWER_S = 60.0


def body(bundle: Bundle, split: str, picture: bytes) -> bytes:
    """Return what is sent: the activation of a picture at a split, and of which model it is."""
    head, wanted = Engine(bundle.model_path, outputs=bundle.finals).head(split), bundle.input
    pixels = decode_to_fit(picture, wanted.width, wanted.height)
    (values,) = head.run(to_input(pixels, head.inputs[0], wanted.low, wanted.high, wanted.colour))
    spec = head.outputs[0]
    tensor = encode_tensor(values, Codec.named("auto", values.dtype.name), spec.scale, spec.zero_point)
    return encode(Offload(bundle.name, bundle.digest, split, tensor))


def main() -> None:
    """Send one picture's activation."""
    if len(sys.argv) != 5:
        sys.exit("offload: give a bundle, a cut point, a picture and the worker's address")
    name, split, picture, url = sys.argv[1:]
    try:
        data = body(Bundle.load(name), split, Path(picture).read_bytes())
        request = urllib.request.Request(f"{url}/v1/offload", data, {"Content-Type": "application/msgpack"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:  # noqa: S310
            print(answer.read().decode())
        print(f"{len(data):,} B sent", file=sys.stderr)
    except urllib.error.HTTPError as error:
        sys.exit(f"offload: {error.code}: {error.read().decode()}")
    except (OSError, ValueError, http.client.HTTPException, HeadwaterError, ModelError) as error:
        sys.exit(f"offload: {error}")


if __name__ == "__main__":
    main()
