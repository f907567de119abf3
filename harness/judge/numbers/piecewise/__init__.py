"""What can be counted and measured of hits that come in pieces, exactly and whatever the pieces."""
