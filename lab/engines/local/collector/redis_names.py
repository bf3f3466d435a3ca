"""Fields of INFO and the metrics that redis_exporter 1.69 makes of them, without `redis_`."""

from __future__ import annotations

_UNCHANGED = """
active_defrag_running allocator_frag_bytes allocator_frag_ratio allocator_rss_bytes
allocator_rss_ratio aof_delayed_fsync aof_enabled aof_last_bgrewrite_status aof_last_write_status
aof_pending_bio_fsync aof_pending_rewrite aof_rewrite_in_progress aof_rewrite_scheduled
async_loading blocked_clients clients_in_timeout_table cluster_connections cluster_enabled
configured_hz connected_clients connected_slaves dump_payload_sanitizations hz
io_threaded_reads_processed io_threaded_writes_processed io_threads_active
lazyfree_pending_objects master_repl_offset mem_clients_normal mem_clients_slaves
mem_fragmentation_bytes mem_fragmentation_ratio module_fork_in_progress
module_fork_last_cow_size number_of_cached_scripts number_of_functions number_of_libraries
process_id pubsub_channels pubsub_clients pubsub_patterns pubsubshard_channels
rdb_bgsave_in_progress rdb_changes_since_last_save rdb_last_bgsave_status
repl_backlog_first_byte_offset second_repl_offset slave_expires_tracked_keys slave_priority
total_blocking_keys total_blocking_keys_on_nokey total_error_replies total_reads_processed
total_watched_keys total_writes_processed tracking_clients tracking_total_items
tracking_total_keys tracking_total_prefixes unexpected_error_replies uptime_in_seconds
watching_clients
"""

_TOTAL = """
acl_access_denied_auth acl_access_denied_channel acl_access_denied_cmd acl_access_denied_key
client_output_buffer_limit_disconnections client_query_buffer_limit_disconnections
evicted_clients evicted_keys evicted_scripts expired_keys keyspace_hits keyspace_misses
migrate_cached_sockets rdb_saves rejected_connections reply_buffer_expands reply_buffer_shrinks
"""

_BYTES = """
allocator_active allocator_allocated allocator_resident aof_base_size aof_current_size
aof_last_cow_size client_recent_max_input_buffer client_recent_max_output_buffer
mem_overhead_db_hashtable_rehashing mem_total_replication_buffers rdb_last_cow_size
"""

NAMES: dict[str, str] = {
    **{field: field for field in _UNCHANGED.split()},
    **{field: f"{field}_total" for field in _TOTAL.split()},
    **{field: f"{field}_bytes" for field in _BYTES.split()},
    "active_defrag_hits": "defrag_hits",
    "active_defrag_key_hits": "defrag_key_hits",
    "active_defrag_key_misses": "defrag_key_misses",
    "active_defrag_misses": "defrag_misses",
    "aof_current_rewrite_time_sec": "aof_current_rewrite_duration_sec",
    "aof_last_rewrite_time_sec": "aof_last_rewrite_duration_sec",
    "current_eviction_exceeded_time": "current_eviction_exceeded_time_ms",
    "expire_cycle_cpu_milliseconds": "expire_cycle_cpu_time_ms_total",
    "expired_stale_perc": "expired_stale_percentage",
    "expired_time_cap_reached_count": "expired_time_cap_reached_total",
    "loading": "loading_dump_file",
    "maxclients": "max_clients",
    "maxmemory": "memory_max_bytes",
    "mem_not_counted_for_evict": "mem_not_counted_for_eviction_bytes",
    "rdb_current_bgsave_time_sec": "rdb_current_bgsave_duration_sec",
    "rdb_last_bgsave_time_sec": "rdb_last_bgsave_duration_sec",
    "rdb_last_load_keys_expired": "rdb_last_load_expired_keys",
    "rdb_last_load_keys_loaded": "rdb_last_load_loaded_keys",
    "rdb_last_save_time": "rdb_last_save_timestamp_seconds",
    "repl_backlog_active": "repl_backlog_is_active",
    "repl_backlog_histlen": "repl_backlog_history_bytes",
    "repl_backlog_size": "replication_backlog_bytes",
    "sync_full": "replica_resyncs_full",
    "sync_partial_err": "replica_partial_resync_denied",
    "sync_partial_ok": "replica_partial_resync_accepted",
    "total_commands_processed": "commands_processed_total",
    "total_connections_received": "connections_received_total",
    "total_eviction_exceeded_time": "eviction_exceeded_time_ms_total",
    "total_net_input_bytes": "net_input_bytes_total",
    "total_net_output_bytes": "net_output_bytes_total",
    "total_net_repl_input_bytes": "net_repl_input_bytes_total",
    "total_net_repl_output_bytes": "net_repl_output_bytes_total",
    "used_cpu_sys": "cpu_sys_seconds_total",
    "used_cpu_sys_children": "cpu_sys_children_seconds_total",
    "used_cpu_sys_main_thread": "cpu_sys_main_thread_seconds_total",
    "used_cpu_user": "cpu_user_seconds_total",
    "used_cpu_user_children": "cpu_user_children_seconds_total",
    "used_cpu_user_main_thread": "cpu_user_main_thread_seconds_total",
    "used_memory": "memory_used_bytes",
    "used_memory_dataset": "memory_used_dataset_bytes",
    "used_memory_functions": "memory_used_functions_bytes",
    "used_memory_lua": "memory_used_lua_bytes",
    "used_memory_overhead": "memory_used_overhead_bytes",
    "used_memory_peak": "memory_used_peak_bytes",
    "used_memory_rss": "memory_used_rss_bytes",
    "used_memory_scripts": "memory_used_scripts_bytes",
    "used_memory_scripts_eval": "memory_used_scripts_eval_bytes",
    "used_memory_startup": "memory_used_startup_bytes",
    "used_memory_vm_eval": "memory_used_vm_eval_bytes",
    "used_memory_vm_functions": "memory_used_vm_functions_bytes",
    "used_memory_vm_total": "memory_used_vm_total",
}

OF_MASTER = {
    "master_last_io_seconds_ago": "master_last_io_seconds_ago",
    "master_sync_in_progress": "master_sync_in_progress",
    "slave_repl_offset": "slave_repl_offset",
}
"""What a replica says about its master, whose address is in the labels."""

GAUGES_OF_CONFIG = {
    "io-threads": "config_io_threads",
    "maxclients": "config_maxclients",
    "maxmemory": "config_maxmemory",
}
"""Settings and the metrics of their values."""

TEXTS = {"ok": 1.0, "err": 0.0, "fail": 0.0}
"""Words that stand for numbers."""
