// Package pgdev runs a private PostgreSQL from the system's binaries: Radial's
// database when it is given no DSN, and the one that tests use.
//
// A cluster lives in one folder (data_dir/postgres): data is PostgreSQL's own,
// run holds its unix socket (the only way in: no TCP, and only its owner and
// root may open the socket), lock and users are ours. Whoever needs the cluster
// calls Start, and Stop when done: Start runs it when it does not run, Stop
// ends it when nobody else uses it. Who uses it is a shared lock on the file
// users, which the kernel takes back from a process that dies; lock is held
// while someone starts or stops. So a command finds the server that a running
// radial has started and leaves it alone, two that start at once do not race,
// and a PostgreSQL that outlived the kill -9 of its parent is picked up by the
// next Start.
//
// PostgreSQL refuses to run as root. Started by root, the cluster belongs to
// user postgres, or nobody.
package pgdev
