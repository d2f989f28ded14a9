"""The server process: sockets, limits of connections, one worker, several under a supervisor."""
