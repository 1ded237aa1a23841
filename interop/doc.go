// Package interop holds tests with real clients of other languages against a broker started as a user would start it.
// README.md says how to run them and how to hold the same suites against another broker.
package interop
