"""streams/<worker>.arrow: the connections that live long, one row for each, written when it has ended.

A recording without the folder held no streams. A stream whose worker was killed has no row; its hits are on record.
"""

from __future__ import annotations

import pyarrow as pa

FOLDER = "streams"
_NAMES = pa.dictionary(pa.int32(), pa.string())

# A moment that did not come is -1 (model.NEVER); a number that no message carried is -1.
STREAM_SCHEMA = pa.schema(
    [
        ("opened_ns", pa.int64()),  # when its request was sent
        ("slot", pa.uint16()),
        ("conn", pa.int32()),  # as in hits and connections
        ("kind", _NAMES),  # websocket | sse | chunked
        ("handshake_ns", pa.int64()),  # when the head of the answer had come
        ("first_message_ns", pa.int64()),
        ("last_message_ns", pa.int64()),
        ("messages", pa.int64()),
        ("largest_gap_ns", pa.int64()),  # from one message to the next
        ("ended_ns", pa.int64()),
        ("ended_by", _NAMES),  # us | peer | network
        # close (a close frame) | end (the end of the body) | eof (an end without either) | reset | silent | error |
        # over (by us, at the end of the load)
        ("how", _NAMES),
        (
            "code",
            pa.uint16(),
        ),  # of the close frame; 1006 where a WebSocket ended without one; 0 for no WebSocket
        ("first_id", pa.int64()),  # numbers of messages
        ("last_id", pa.int64()),
        ("jumps", pa.int64()),  # messages whose number did not follow on the one before
        ("missing", pa.int64()),  # numbers that were skipped
        ("replaces", pa.int32()),  # conn of the stream that this slot had lost before, -1: its first
        ("lost_ns", pa.int64()),  # when it had lost that one
        ("tries", pa.int32()),  # handshakes sent and connections tried since then, this one included
        ("refused", _NAMES),  # how those before it ended, in order: "502, connect_refused"
        ("pod", _NAMES),
        ("peer", _NAMES),
    ]
)
