// Package storetest gives tests a real PostgreSQL: New returns a migrated
// database of its own for one test, in well under a tenth of a second, copied from a
// template in a cluster that all test processes share and that ends by itself
// when the last of them is done. Durable asks for a cluster that syncs to disk,
// Empty for a database without a schema. NewOwn
// starts a PostgreSQL that the test may kill.
package storetest
