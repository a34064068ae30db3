"""Serve a package over HTTP: KServe v2 (the Open Inference Protocol), health and metrics.

In: a `Package` and `ServeOptions`. Out: answers to requests, until a signal ends it. Never: a request that is lost or
answered twice; an address other than the machine's own without a key; tensor bytes in a pickle.
"""

from partwise.serving.options import SERVER_POLICY, ServeOptions
from partwise.serving.serve import serve

__all__ = ["SERVER_POLICY", "ServeOptions", "serve"]
