"""Connections that live long: WebSocket, server-sent events and responses held open, one in each slot."""
