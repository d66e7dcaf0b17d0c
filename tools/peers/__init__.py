"""Others that keep a PostgreSQL highly available, set up on loopback for script/bench failover
--peers. Each is a Cluster (cluster.py): the same faults and the same probe as for a Pair of ours."""
