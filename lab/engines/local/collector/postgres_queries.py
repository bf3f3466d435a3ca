"""What is asked of PostgreSQL: in each row texts are labels, every number is a metric.

They are the statistics that postgres_exporter reads on the Docker engine, where it is started
without those that a second has no room for (settings, tables, indexes, the write-ahead log).
"""

from __future__ import annotations

from typing import NamedTuple


class Query(NamedTuple):
    """`prefix` and a number's column make a metric's name; `server`: its address is a label."""

    prefix: str
    sql: str
    server: bool = False


# A state in which nobody is counts 0, so that its series never has a gap.
_ACTIVITY = """
SELECT d.datname::text AS datname, s.state, coalesce(a.usename, '') AS usename,
       coalesce(a.application_name, '') AS application_name,
       coalesce(a.backend_type, '') AS backend_type,
       coalesce(a.wait_event_type, '') AS wait_event_type,
       coalesce(a.wait_event, '') AS wait_event,
       coalesce(a.count, 0) AS count, coalesce(a.max_tx_duration, 0) AS max_tx_duration
  FROM pg_database d
 CROSS JOIN unnest(ARRAY['active', 'idle', 'idle in transaction',
                          'idle in transaction (aborted)', 'fastpath function call',
                          'disabled']) AS s(state)
  LEFT JOIN (SELECT datname, state, usename::text AS usename, application_name, backend_type,
                    wait_event_type, wait_event, count(*) AS count,
                    max(extract(epoch FROM now() - xact_start))::float8 AS max_tx_duration
               FROM pg_stat_activity
              GROUP BY 1, 2, 3, 4, 5, 6, 7) a USING (datname, state)
"""

_LOCKS = """
SELECT d.datname::text AS datname, m.mode, count(l.locktype) AS count
  FROM pg_database d
 CROSS JOIN unnest(ARRAY['accesssharelock', 'rowsharelock', 'rowexclusivelock',
                          'shareupdateexclusivelock', 'sharelock', 'sharerowexclusivelock',
                          'exclusivelock', 'accessexclusivelock', 'sireadlock']) AS m(mode)
  LEFT JOIN pg_locks l ON l.database = d.oid AND lower(l.mode) = m.mode
 GROUP BY 1, 2
"""

_DATABASES = """
SELECT datid::text AS datid, datname::text AS datname, numbackends, xact_commit, xact_rollback,
       blks_read, blks_hit, tup_returned, tup_fetched, tup_inserted, tup_updated, tup_deleted,
       conflicts, temp_files, temp_bytes, deadlocks, blk_read_time, blk_write_time,
       coalesce(floor(extract(epoch FROM stats_reset)), 0)::float8 AS stats_reset,
       active_time / 1000 AS active_time_seconds_total
  FROM pg_stat_database
 WHERE datname IS NOT NULL
"""

_CONFLICTS = """
SELECT datid::text AS datid, datname::text AS datname, confl_tablespace, confl_lock,
       confl_snapshot, confl_bufferpin, confl_deadlock, confl_active_logicalslot
  FROM pg_stat_database_conflicts
"""

_SIZES = """
SELECT datname::text AS datname, datconnlimit AS connection_limit,
       pg_database_size(oid) AS size_bytes
  FROM pg_database
"""

_ROLES = "SELECT rolname::text AS rolname, rolconnlimit AS connection_limit FROM pg_roles"

_WRITER = """
SELECT buffers_clean AS buffers_clean_total, maxwritten_clean AS maxwritten_clean_total,
       buffers_alloc AS buffers_alloc_total,
       floor(extract(epoch FROM stats_reset))::float8 AS stats_reset_total
  FROM pg_stat_bgwriter
"""

_ARCHIVER = """
SELECT archived_count, failed_count,
       extract(epoch FROM now() - last_archived_time)::float8 AS last_archive_age
  FROM pg_stat_archiver
"""

# A replica that has replayed all that it received is not behind, however old that is.
_REPLICATION = """
SELECT pg_is_in_recovery()::int AS is_replica,
       CASE WHEN NOT pg_is_in_recovery()
              OR pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
            ELSE greatest(0, extract(epoch FROM now() - pg_last_xact_replay_timestamp()))
       END::float8 AS lag_seconds,
       coalesce(extract(epoch FROM now() - pg_last_xact_replay_timestamp()), 0)::float8
         AS last_replay_seconds
"""

_REPLICAS = """
SELECT coalesce(application_name, '') AS application_name,
       coalesce(host(client_addr), '') AS client_addr, coalesce(state, '') AS state,
       pg_wal_lsn_diff(lsn, '0/0')::float8 AS pg_current_wal_lsn_bytes,
       pg_wal_lsn_diff(lsn, replay_lsn)::float8 AS pg_wal_lsn_diff,
       floor(extract(epoch FROM reply_time))::float8 AS reply_time
  FROM pg_stat_replication,
       (SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_lsn() END AS lsn)
"""

_SLOTS = """
SELECT slot_name::text AS slot_name, coalesce(database::text, '') AS database,
       active::int AS active,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                            ELSE pg_current_wal_lsn() END, restart_lsn)::float8 AS pg_wal_lsn_diff
  FROM pg_replication_slots
"""

QUERIES = (
    Query("pg_stat_activity", _ACTIVITY, server=True),
    Query("pg_locks", _LOCKS),
    Query("pg_stat_database", _DATABASES),
    Query("pg_stat_database_conflicts", _CONFLICTS, server=True),
    Query("pg_database", _SIZES),
    Query("pg_roles", _ROLES),
    Query("pg_stat_bgwriter", _WRITER),
    Query("pg_stat_archiver", _ARCHIVER, server=True),
    Query("pg_replication", _REPLICATION),
    Query("pg_stat_replication", _REPLICAS, server=True),
    Query("pg_replication_slots", _SLOTS, server=True),
)
