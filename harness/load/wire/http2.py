"""HTTP/2's hot path: the same loop as for HTTP/1.1, over connections of one stream or of many.

The fast path: receive, look each response up among those parsed before, write the row, put the next request together,
and send all of them at once. Only the stream's number differs between two responses with the same bytes, so it is
replaced by a mark before the look-up. All else goes through `h2.exchanges`, frame by frame.

No request is sent twice: it is put together once per hit, and a hit that fails is over.
"""

from __future__ import annotations

from select import EPOLLIN
from time import monotonic_ns
from typing import Any

from harness.load.rows.writing import ROW
from harness.load.wire.h2.exchanges import MARK, Exchanges
from harness.load.wire.h2.frames import answer_end
from harness.load.wire.slot import IDLE
from harness.load.wire.sockets import BLOCKED


class Http2Wire(Exchanges):
    """Sends the hits of one worker's slots over HTTP/2 (see Wire)."""

    def _batch(self, events: list[tuple[int, int]]) -> int:  # noqa: C901, PLR0912, PLR0915  calls are slow
        rows = self._rows
        pack, row_size, buffer = ROW.pack_into, ROW.size, rows.buffer
        links, anchor, pacing = self._links, self._anchor, self._pacing
        numbered, slow_path, target_cycle = pacing.numbered, pacing.slow_path, pacing.target_cycle
        free = pacing.free
        arrivals: Any = pacing.arrivals
        patience = arrivals.patience_ns if arrivals else 0
        now = 0
        for fd, event in events:
            link = links.get(fd)
            if link is None:  # a watched descriptor, or a connection closed earlier in this batch
                self._watched.get(fd, _nothing)()
                continue
            if event != EPOLLIN or link.slow:
                self._event(link, event)
                continue
            try:
                data = link.receive()
            except BLOCKED:
                continue
            except OSError as error:
                link.end(error)
                self._take(link, b"", self.now())
                continue
            now = monotonic_ns() - anchor
            if rows.offset >= rows.limit:
                rows.flush()
            inflight = link.inflight
            out = link.out
            link.serving = True
            at, end = 0, len(data)
            while at < end:
                number = data[at + 5 : at + 9]
                slot: Any = inflight.get(number)
                if slot is None:
                    break
                prepared = slot.prepared
                frame = prepared.framed
                size = frame.usual
                key = (data[at : at + size] if at or size != end else data).replace(number, MARK)
                found = prepared.known.get(key)
                if found is None:
                    size = answer_end(data, at)[0] - at
                    key = data[at : at + max(size, 0)].replace(number, MARK)
                    found = prepared.known.get(key)
                    if found is None:
                        break
                    frame.usual = size
                kind, length, flow = found
                if length != size:
                    break
                del inflight[number]
                at += size
                link.taken += flow
                hits = slot.hits
                pack(
                    buffer, rows.offset, slot.seq, slot.ident, hits, slot.due, slot.sent, now, now,
                    size, frame.size, kind,
                )  # fmt: skip
                rows.offset += row_size
                if slow_path:
                    slot.hits = hits + 1
                    self._owner.hit_done(slot, now, failed=rows.failed(kind))
                    continue
                due = now
                if free is not None:  # an open loop
                    if (
                        free or not now - patience <= pacing.due_ns <= now
                    ):  # what is due is sent after this batch
                        slot.hits = hits + 1
                        if target_cycle is not None:
                            slot.prepared = next(target_cycle)
                        slot.state = IDLE
                        free.append(slot)
                        continue
                    due = arrivals.next()  # a hit has waited for a slot
                if target_cycle is not None:
                    slot.prepared = prepared = next(target_cycle)
                    frame = prepared.framed
                    if prepared.origin != slot.origin:
                        slot.hits = hits + 1
                        self._owner.begin(slot, due)
                        continue
                content = frame.content
                if content:
                    if content > link.window or content > link.first_window or not frame.short:
                        slot.hits = hits + 1
                        self._owner.begin(slot, due)
                        continue
                    link.window -= content
                slot.due = due
                slot.sent = now
                slot.seq = seq = self.seq
                self.seq = seq + 1
                stream = link.next
                link.next = stream + 2
                slot.hits = stream >> 1
                slot.bytes_out = frame.size
                number = stream.to_bytes(4)
                inflight[number] = slot
                if not numbered:
                    out.append(number.join(frame.pieces))
                elif frame.around:
                    out.append(frame.begin + number + (b"%012x" % seq).join(frame.around))
                else:
                    out.append(frame.written(seq, number))
            link.serving = False
            if at < end or link.over:
                self._take(link, data[at:], now)
            elif out and not link.slow:
                request = out[0] if len(out) == 1 else b"".join(out)
                out.clear()
                try:
                    written = link.send(request)
                except OSError as error:
                    if isinstance(error, BLOCKED):
                        self._wait_to_write(link, memoryview(request))
                    else:
                        self._unwritten(link, error, memoryview(request))
                    continue
                if written != len(request):
                    self._wait_to_write(link, memoryview(request)[written:])
            elif out:
                self._flush(link)
        return now or self.now()


def _nothing() -> None:
    """Do nothing about a connection that is closed already."""
