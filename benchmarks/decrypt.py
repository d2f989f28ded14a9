"""What decrypting costs: a document of 200 values, clear, bound, with a password, with RSA.

The baseline composes the same document from a bundle of clear texts of the same length. The
bundle lies in memory, so that nothing but composing and decrypting is measured.
"""

import asyncio
import sys
import time
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from _load import compare, read_options, report
from pyfly.config_server import (
    ConfigServer,
    ConfigSource,
    Encryption,
    EncryptionKeys,
    InMemoryConfigBackend,
    ServerOptions,
    open_bound_keys,
    open_keys,
)

VALUES = 200
DOCUMENTS = 10


async def documents(server: ConfigServer, profile: str) -> float:
    began = time.perf_counter()
    for _ in range(DOCUMENTS):
        await server.compose("orders", profile, None)
    return DOCUMENTS / (time.perf_counter() - began)


def main() -> int:
    options = read_options(__doc__)
    rsa = generate_private_key(65_537, 2048)
    pem = rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    keys = open_keys(EncryptionKeys(default="a password", named={"rsa": pem, "password": "b"}))
    bound = open_bound_keys({"2027": "A" * 43})
    server = ConfigServer(
        InMemoryConfigBackend(),
        options=ServerOptions(encryption=Encryption(keys=keys, bound=bound)),
    )
    texts = {f"key{number}": f"secret number {number:20}" for number in range(VALUES)}
    encrypted: dict[str, Mapping[str, str]] = {
        "clear": {key: "x" * len(keys.encrypt(text)) for key, text in texts.items()},
        "bound": {
            key: "{cipher}" + bound.encrypt(text, application="orders", key=key)
            for key, text in texts.items()
        },
        **{
            name: {key: "{cipher}" + keys.encrypt(f"{{key:{name}}}{text}") for key, text in pairs}
            for name, pairs in (("password", texts.items()), ("rsa", texts.items()))
        },
    }
    with asyncio.Runner() as runner:
        for profile, values in encrypted.items():
            source = ConfigSource(application="orders", profile=profile, properties=dict(values))
            runner.run(server.backends[0].save(source))
        measures = {
            profile: lambda profile=profile: runner.run(documents(server, profile))
            for profile in encrypted
        }
        rates = compare(measures, options)
        for profile in ("bound", "password", "rsa"):
            environment = runner.run(server.compose("orders", profile, None)).environment
            if environment.property_sources[0].source != texts:
                raise RuntimeError("the texts differ")
    added = {
        name: [
            1000 / ours - 1000 / clear
            for ours, clear in zip(rates[name], rates["clear"], strict=True)
        ]
        for name in ("bound", "password", "rsa")
    }
    report(rates, options, unit="documents", added_milliseconds=added)
    return 0


if __name__ == "__main__":
    sys.exit(main())
