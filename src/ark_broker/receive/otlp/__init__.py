"""OTLP/HTTP: requests in either encoding to Events, and the answers."""

from ark_broker.receive.otlp.encoding import Decoded, Encoding, Signal, encoding_of
from ark_broker.receive.otlp.logs import decode_logs
from ark_broker.receive.otlp.metrics import count_metrics
from ark_broker.receive.otlp.rebuild import rebuild_spans
from ark_broker.receive.otlp.responses import encode_status, encode_success
from ark_broker.receive.otlp.traces import decode_traces

__all__ = [
    "Decoded",
    "Encoding",
    "Signal",
    "count_metrics",
    "decode_logs",
    "decode_traces",
    "encode_status",
    "encode_success",
    "encoding_of",
    "rebuild_spans",
]
