"""The database servers: several hosts, lost connections and failover."""
