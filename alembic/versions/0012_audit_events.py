"""audit_events: the audit trail, append-only, partitioned by month.

Revision: 0012, after 0010
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from alembic import op

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None

INDEXED = ("actor", "action", "target", "user_id")

REFUSE = """
    CREATE FUNCTION fn_audit_events_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'audit events are never changed or deleted' USING ERRCODE = '42501';
    END $$
"""
# Of the table and of each partition: a statement's triggers are those of the table that it names.
PROTECT = """
    CREATE FUNCTION fn_audit_events_protect(relation regclass) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE 'CREATE TRIGGER tg_audit_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON '
            || relation || ' EXECUTE FUNCTION fn_audit_events_refuse()';
    END $$
"""
UPPER = """
    CREATE FUNCTION fn_audit_events_upper(relation oid) RETURNS timestamptz LANGUAGE sql AS $$
        SELECT substring(pg_get_expr(relpartbound, oid) FROM 'TO \\(''([^'']+)''\\)')::timestamptz
        FROM pg_class WHERE oid = relation
    $$
"""
# A table is attached, and not created as a partition, which would lock out all inserts.
ATTACH = """
    CREATE FUNCTION fn_audit_events_attach(relation regclass, lower timestamptz, upper timestamptz)
    RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE 'ALTER TABLE audit_events ATTACH PARTITION ' || relation || ' FOR VALUES FROM ('
            || quote_literal(lower) || ') TO (' || quote_literal(upper) || ')';
    END $$
"""
TABLE = """
    CREATE FUNCTION fn_audit_events_table(name text) RETURNS regclass LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE 'CREATE TABLE ' || name || ' (LIKE audit_events INCLUDING DEFAULTS)';
        PERFORM fn_audit_events_protect(name::regclass);
        RETURN name::regclass;
    END $$
"""
# Events that came while there was no partition for them are in the default one. It becomes the
# partition of its months, and an empty one takes its place.
AHEAD = """
    CREATE FUNCTION audit_partitions_ahead(months integer) RETURNS integer LANGUAGE plpgsql
    SECURITY DEFINER AS $$
    DECLARE
        lower timestamptz; upper timestamptz; until timestamptz; created integer := 0;
        relation regclass;
    BEGIN
        PERFORM pg_advisory_xact_lock(4862019176);
        SELECT date_trunc('month', min(created_at)),
            date_trunc('month', max(created_at)) + interval '1 month'
            INTO lower, upper FROM audit_events_default;
        IF lower IS NOT NULL THEN
            ALTER TABLE audit_events DETACH PARTITION audit_events_default;
            relation := 'audit_events_default'::regclass;
            EXECUTE 'ALTER TABLE audit_events_default RENAME TO '
                || to_char(lower, '"audit_events_"YYYY_MM');
            PERFORM fn_audit_events_attach(relation, lower, upper);
            PERFORM fn_audit_events_table('audit_events_default');
            ALTER TABLE audit_events ATTACH PARTITION audit_events_default DEFAULT;
            created := 1;
        END IF;
        SELECT greatest(max(fn_audit_events_upper(inhrelid)), date_trunc('month', now()))
            INTO lower FROM pg_inherits WHERE inhparent = 'audit_events'::regclass;
        until := date_trunc('month', now()) + make_interval(months => months);
        WHILE lower <= until LOOP
            upper := lower + interval '1 month';
            relation := fn_audit_events_table(to_char(lower, '"audit_events_"YYYY_MM'));
            PERFORM fn_audit_events_attach(relation, lower, upper);
            lower := upper;
            created := created + 1;
        END LOOP;
        RETURN created;
    END $$
"""
DROP = """
    CREATE FUNCTION audit_partitions_drop(keep interval) RETURNS text[] LANGUAGE plpgsql
    SECURITY DEFINER AS $$
    DECLARE
        name text; dropped text[] := '{}';
    BEGIN
        IF keep < interval '30 days' THEN
            RAISE EXCEPTION 'audit events are kept for 30 days at least' USING ERRCODE = '22023';
        END IF;
        PERFORM pg_advisory_xact_lock(4862019176);
        FOR name IN
            SELECT inhrelid::regclass::text FROM pg_inherits
            WHERE inhparent = 'audit_events'::regclass
                AND fn_audit_events_upper(inhrelid) <= now() - keep
            ORDER BY fn_audit_events_upper(inhrelid)
        LOOP
            EXECUTE 'DROP TABLE ' || name;
            dropped := dropped || name;
        END LOOP;
        RETURN dropped;
    END $$
"""
# Run as the owner of the table, whoever calls: nothing may depend on the caller's settings. A lock
# that is not free soon is given up: inserts would queue behind it.
SETTINGS = """
    DO $$
    DECLARE
        signature text;
    BEGIN
        FOREACH signature IN ARRAY ARRAY[
            'audit_partitions_ahead(integer)', 'audit_partitions_drop(interval)'
        ] LOOP
            EXECUTE 'ALTER FUNCTION ' || signature || ' SET search_path = '
                || quote_ident(current_schema()) || ', pg_temp';
            EXECUTE 'ALTER FUNCTION ' || signature || ' SET timezone = ''UTC''';
            EXECUTE 'ALTER FUNCTION ' || signature || ' SET datestyle = ''ISO''';
            EXECUTE 'ALTER FUNCTION ' || signature || ' SET lock_timeout = ''1s''';
            EXECUTE 'REVOKE EXECUTE ON FUNCTION ' || signature || ' FROM PUBLIC';
        END LOOP;
    END $$
"""
FUNCTIONS = (
    "audit_partitions_drop(interval)",
    "audit_partitions_ahead(integer)",
    "fn_audit_events_table(text)",
    "fn_audit_events_attach(regclass, timestamptz, timestamptz)",
    "fn_audit_events_upper(oid)",
    "fn_audit_events_protect(regclass)",
    "fn_audit_events_refuse()",
)


def upgrade() -> None:
    op.create_table(
        "audit_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("actor", sa.String(80), nullable=False),
        sa.Column("actor_name", sa.String(254)),
        sa.Column("impersonator_id", sa.BigInteger()),
        sa.Column("target", sa.String(80)),
        sa.Column("user_id", sa.BigInteger()),
        sa.Column("address", sa.String(45)),
        sa.Column("request_id", sa.String(64)),
        sa.Column("trace_id", sa.String(32)),
        sa.Column("count", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("before", JSONB()),
        sa.Column("after", JSONB()),
        sa.PrimaryKeyConstraint("created_at", "id", name="pk_audit_events"),
        postgresql_partition_by="RANGE (created_at)",
    )
    for column in INDEXED:
        op.create_index(f"ix_audit_events_{column}", "audit_events", [column, "created_at", "id"])
    for function in (REFUSE, PROTECT, UPPER, ATTACH, TABLE, AHEAD, DROP, SETTINGS):
        op.execute(function)
    op.execute("SELECT fn_audit_events_protect('audit_events')")
    op.execute("SELECT fn_audit_events_table('audit_events_default')")
    op.execute("ALTER TABLE audit_events ATTACH PARTITION audit_events_default DEFAULT")
    op.execute("SELECT audit_partitions_ahead(2)")


def downgrade() -> None:
    """The audit trail is lost: export it before."""
    op.drop_table("audit_events")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
