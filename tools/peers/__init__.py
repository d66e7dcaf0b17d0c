"""Others that keep a PostgreSQL highly available, set up on loopback for script/bench failover
--peers. Each is a Cluster (cluster.py): it has the same faults and the same probe as ours."""
