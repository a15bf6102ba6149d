// Package scenario reads the scenario files of test/scenarios: logins told in
// a small language that support staff can write, with the rows that the tables
// hold, the request, and the answer that is wanted. Two runners use it: aaa
// runs them in process, and the black-box tests against a real server over UDP
// with the rows in PostgreSQL. The language is told in test/scenarios/README.md.
package scenario
